package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/loopback/loopbacktest"
	"github.com/blackdice/shipwarden/internal/proctest"
)

// Domain is that of the mailboxes of a Server, and Account who may send by it, with the
// password that it was started with.
const (
	Domain  = "shop.example"
	Account = "ship@" + Domain
)

// patience bounds how long a Server may take for anything.
const patience = 60 * time.Second

// Server is a mail server that people run (chasquid), as a process of its own: what is told to
// it is looked at by code that we did not write, and lies in mailboxes afterwards.
type Server struct {
	// Submission is its address for STARTTLS, and Submissions that for TLS at once; Roots has
	// its certificate.
	Submission, Submissions string
	Roots                   *x509.CertPool

	boxes string
}

// StartServer builds and starts a server with a mailbox for each of the users, which ends
// with the test. It needs tee, which is its delivery agent.
func StartServer(t testing.TB, password string, users ...string) *Server {
	t.Helper()
	dir := t.TempDir()
	agent, err := exec.LookPath("tee")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Submission: loopbacktest.Address(t), Submissions: loopbacktest.Address(t), Roots: x509.NewCertPool(), boxes: filepath.Join(dir, "boxes")}
	// Among them is a socket, whose path may not be long.
	data, err := os.MkdirTemp("", "mail") //nolint:usetesting // The folder of a test has its name in it.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	certificate, key := certificate(t)
	s.Roots.AppendCertsFromPEM(certificate)
	known := "users: {key: 'ship' value: {plain: {password: '" + password + "'}}}\n"
	for _, user := range users {
		known += "users: {key: '" + user + "' value: {denied: {}}}\n"
	}
	for name, content := range map[string]string{
		"chasquid.conf": fmt.Sprintf(`hostname: "mail.%s"
smtp_address: %q
submission_address: %q
submission_over_tls_address: %q
mail_delivery_agent_bin: %q
mail_delivery_agent_args: "-a"
mail_delivery_agent_args: %q
data_dir: %q
mail_log_path: "<stderr>"
`, Domain, loopbacktest.Address(t), s.Submission, s.Submissions, agent, filepath.Join(s.boxes, "%to_user%"), data),
		"domains/" + Domain + "/users":            known,
		"certs/mail." + Domain + "/fullchain.pem": string(certificate),
		"certs/mail." + Domain + "/privkey.pem":   string(key),
		"boxes/.keep":                             "",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ended := proctest.Start(t, t.Output(), build(t), "-config_dir="+dir)
	for limit := time.After(patience); !listens(s.Submission) || !listens(s.Submissions); {
		select {
		case <-ended:
			t.Fatal("the mail server has ended")
		case <-limit:
			t.Fatal("the mail server does not listen")
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s
}

// Box waits until all of something is in a mailbox, and returns what is there: the server
// takes a mail before it delivers it.
func (s *Server) Box(t testing.TB, user, has string) string {
	t.Helper()
	for limit := time.Now().Add(patience); ; {
		content, err := os.ReadFile(filepath.Join(s.boxes, user))
		if err == nil && strings.Contains(string(content), has) {
			return string(content)
		}
		if time.Now().After(limit) {
			t.Fatalf("the mailbox of %s has %q, %v, and no %q", user, content, err, has)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Has reports whether anything is in a mailbox.
func (s *Server) Has(t testing.TB, user string) bool {
	t.Helper()
	_, err := os.Stat(filepath.Join(s.boxes, user))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// build builds the server of tools/relay and returns its path.
func build(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "tools", "relay", "go.mod")); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			t.Fatalf("tools/relay is not above the test: %v", err)
		}
		dir = filepath.Dir(dir)
	}
	program := filepath.Join(t.TempDir(), "chasquid")
	command := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-s -w", "-o", program, "blitiri.com.ar/go/chasquid")
	command.Dir = filepath.Join(dir, "tools", "relay")
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false", "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the mail server: %v\n%s", err, out)
	}
	return program
}

// certificate is one of this machine for a day, and its key, in PEM.
func certificate(t testing.TB) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail." + Domain},
		DNSNames: []string{"mail." + Domain}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

func listens(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil
}
