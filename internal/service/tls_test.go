package service_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// authority signs the certificates of one test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // its certificate in PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.file = write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o644)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue writes a certificate for 127.0.0.1 and its key into a new folder.
func (a *authority) issue(t *testing.T, name string) *configv1.Tls {
	t.Helper()
	dir := t.TempDir()
	cfg := &configv1.Tls{
		CertificateFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), CaFile: a.file,
	}
	certificate, key := a.sign(t, name)
	replace(t, cfg.GetCertificateFile(), certificate)
	replace(t, cfg.GetKeyFile(), key)
	return cfg
}

// sign returns a certificate and its key, both in PEM.
func (a *authority) sign(t *testing.T, name string) (certificate, key []byte) {
	t.Helper()
	private := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// replace puts a new file in the place of the old one, as a rotation does.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func serverTLS(t *testing.T, cfg *configv1.Tls) *tls.Config {
	t.Helper()
	out, err := service.ServerTLS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func clientTLS(t *testing.T, cfg *configv1.Tls) *tls.Config {
	t.Helper()
	out, err := service.ClientTLS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// listen answers TLS connections with one byte each until the test ends.
func listen(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("x"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

// dial connects, reads the byte, and returns the name in the server's certificate.
func dial(ctx context.Context, address string, config *tls.Config) (string, error) {
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return "", err // in TLS 1.3 the server refuses a client only now
	}
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

func TestACertificateFollowsItsFiles(t *testing.T) {
	ca := newAuthority(t)
	cfg := ca.issue(t, "first")
	address := listen(t, serverTLS(t, cfg))
	client := clientTLS(t, ca.issue(t, "client"))
	expect := func(when, want string) {
		t.Helper()
		if got, err := dial(t.Context(), address, client); err != nil || got != want {
			t.Errorf("%s the server shows %q, %v; want %q", when, got, err, want)
		}
	}
	expect("at first", "first")
	certificate, key := ca.sign(t, "second")
	replace(t, cfg.GetCertificateFile(), certificate)
	expect("with half of the new pair", "first")
	replace(t, cfg.GetKeyFile(), key)
	expect("with the new pair", "second")
	replace(t, cfg.GetCertificateFile(), []byte("garbage"))
	expect("with a broken file", "second")
	if err := os.Remove(cfg.GetKeyFile()); err != nil {
		t.Fatal(err)
	}
	expect("without the key file", "second")
}

func TestAServerWithACATakesItsClientsOnlyAndFollowsTheCA(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	cfg := ca.issue(t, "server")
	address := listen(t, serverTLS(t, cfg))

	stranger := other.issue(t, "stranger")
	stranger.CaFile = ca.file
	nameless := &configv1.Tls{CaFile: ca.file}
	for name, client := range map[string]*configv1.Tls{"stranger": stranger, "nameless": nameless} {
		if _, err := dial(t.Context(), address, clientTLS(t, client)); err == nil {
			t.Errorf("%s: was let in", name)
		}
	}
	if _, err := dial(t.Context(), address, clientTLS(t, ca.issue(t, "friend"))); err != nil {
		t.Errorf("friend: %v", err)
	}
	both := append(mustRead(t, ca.file), mustRead(t, other.file)...)
	replace(t, ca.file, both)
	if _, err := dial(t.Context(), address, clientTLS(t, stranger)); err != nil {
		t.Errorf("stranger after its CA was added: %v", err)
	}
}

func TestAServerWithoutACAAsksForNoCertificate(t *testing.T) {
	ca := newAuthority(t)
	cfg := ca.issue(t, "server")
	cfg.CaFile = ""
	address := listen(t, serverTLS(t, cfg))
	if _, err := dial(t.Context(), address, clientTLS(t, &configv1.Tls{CaFile: ca.file})); err != nil {
		t.Error(err)
	}
	old := clientTLS(t, &configv1.Tls{CaFile: ca.file})
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, err := dial(t.Context(), address, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	if _, err := dial(t.Context(), address, &tls.Config{MinVersion: tls.VersionTLS13}); err == nil {
		t.Error("a client of the system's CAs trusts the test's")
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestBadTLSConfigurationIsRefusedAtTheStart(t *testing.T) {
	ca := newAuthority(t)
	good, second := ca.issue(t, "a"), ca.issue(t, "b")
	exposed := ca.issue(t, "c")
	if err := os.Chmod(exposed.GetKeyFile(), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cfg  *configv1.Tls
		want error // nil: any
	}{
		"certificate without key": {&configv1.Tls{CertificateFile: good.GetCertificateFile()}, service.ErrTLSPair},
		"key without certificate": {&configv1.Tls{KeyFile: good.GetKeyFile()}, service.ErrTLSPair},
		"neither":                 {&configv1.Tls{CaFile: ca.file}, service.ErrTLSPair},
		"not a pair":              {&configv1.Tls{CertificateFile: good.GetCertificateFile(), KeyFile: second.GetKeyFile()}, nil},
		"missing":                 {&configv1.Tls{CertificateFile: "absent", KeyFile: good.GetKeyFile()}, fs.ErrNotExist},
		"exposed key":             {exposed, service.ErrExposed},
		"CA without certificate": {&configv1.Tls{
			CertificateFile: good.GetCertificateFile(), KeyFile: good.GetKeyFile(), CaFile: good.GetKeyFile(),
		}, service.ErrNoCertificates},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := service.ServerTLS(test.cfg)
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if config, err := service.ServerTLS(nil); config != nil || err != nil {
		t.Errorf("nothing configured: got %v, %v", config, err)
	}
}
