package connect_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// mirror tells the caller who they are.
type mirror struct {
	recorderv1.UnimplementedRecorderServiceServer
}

func (mirror) GetStatus(ctx context.Context, _ *recorderv1.GetStatusRequest) (*recorderv1.GetStatusResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	p, _ := peer.FromContext(ctx)
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "plain text")
	}
	name := info.State.VerifiedChains[0][0].Subject.CommonName
	return &recorderv1.GetStatusResponse{Epoch: name + " with " + strings.Join(md.Get("authorization"), ",")}, nil
}

// authority signs itself and, with its certificate, a server and a client.
func authority(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	for i, name := range []string{"ca", "server", "mia"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IsCA: i == 0, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		if i == 0 {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		write(t, filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	}
	return dir
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func serve(t *testing.T, dir string) string {
	t.Helper()
	conf, err := service.ServerTLS(&configv1.Tls{
		CertificateFile: filepath.Join(dir, "server.pem"), KeyFile: filepath.Join(dir, "server.key"), CaFile: filepath.Join(dir, "ca.pem"),
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(conf)))
	recorderv1.RegisterRecorderServiceServer(server, mirror{})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return listener.Addr().String()
}

func TestCallerIsKnownByCertificateAndToken(t *testing.T) {
	dir := authority(t)
	address := serve(t, dir)
	token := filepath.Join(dir, "token")
	write(t, token, []byte("mia-token\n"))
	s := settings.Settings{
		CAFile: filepath.Join(dir, "ca.pem"), CertFile: filepath.Join(dir, "mia.pem"), KeyFile: filepath.Join(dir, "mia.key"), TokenFile: token,
	}
	for _, prefix := range []string{"", "https://"} {
		conn, err := connect.GRPC(s, "recorder-url", prefix+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		got, err := recorderv1.NewRecorderServiceClient(conn).GetStatus(t.Context(), &recorderv1.GetStatusRequest{})
		if err != nil || got.GetEpoch() != "mia with Bearer mia-token" {
			t.Errorf("%s: %v, error %v", prefix, got, err)
		}
	}
	// Without the authority's certificate the server is nobody.
	s.CAFile = ""
	conn, err := connect.GRPC(s, "recorder-url", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := recorderv1.NewRecorderServiceClient(conn).GetStatus(t.Context(), &recorderv1.GetStatusRequest{}); exit.Code(err) != exit.Unreachable {
		t.Errorf("a server signed by nobody known: %v", err)
	}
}

func TestATokenIsNotSentInPlainText(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, []byte("mia-token\n"))
	s := settings.Settings{TokenFile: token}
	for address, want := range map[string]int{
		"recorder.example:1": exit.Usage, "http://recorder.example:1": exit.Usage, "10.0.0.1:1": exit.Usage,
		"127.0.0.1:1": exit.OK, "https://recorder.example:1": exit.OK,
	} {
		conn, err := connect.GRPC(s, "recorder-url", address, nil)
		if exit.Code(err) != want {
			t.Errorf("%s: error %v", address, err)
		}
		if err == nil {
			_ = conn.Close()
		} else if strings.Contains(err.Error(), "mia-token") {
			t.Errorf("%s: the error tells the token", address)
		}
	}
}
