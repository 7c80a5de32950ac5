package authorize_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

// rig is the gRPC service on loopback, over TLS that asks for client certificates.
type rig struct {
	*approvaltest.Rig
	address string
	ca      authority
	waiting *waiting
	// ahead is how far the service's clock goes ahead, in nanoseconds.
	ahead atomic.Int64
}

// waiting lists the releases that a test made.
type waiting struct{ ids []string }

func (w *waiting) Waiting(context.Context) ([]string, error) { return w.ids, nil }

func newRig(t *testing.T, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	return rigOn(t, natstest.Single(t), changes...)
}

func rigOn(t *testing.T, n natstest.Server, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	return rigWith(t, n, nil, changes...)
}

// rigWith takes tokens of a provider as well; nil for none.
func rigWith(t *testing.T, n natstest.Server, provider *identity.Provider, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	return rigIn(t, n, provider, whatif.World{}, changes...)
}

// rigIn asks these others what if.
func rigIn(t *testing.T, n natstest.Server, provider *identity.Provider, world whatif.World, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	r := &rig{Rig: approvaltest.On(t, n, approvaltest.Document(changes...)), ca: newAuthority(t), waiting: &waiting{}}
	tokens := &configv1.Tokens{}
	for _, p := range []string{
		"anna", "ANNA@shop.example", "ben", "cleo", "dan", "eve", "finn", "gina", "rita", "rr", "otto", "ada", "alan", "hugo", "ci-bot", "mallory",
	} {
		sum := sha256.Sum256([]byte("token of " + p))
		tokens.Tokens = append(tokens.Tokens, &configv1.Token{Sha256: hex.EncodeToString(sum[:]), Person: p})
	}
	who, err := identity.New(tokens)
	if err != nil {
		t.Fatal(err)
	}
	who = who.WithProvider(provider)
	server, err := service.NewGRPCServer(t.Context(), service.GRPCConfig{
		Listen: "127.0.0.1:0", Registry: service.NewRegistry("test"), Health: &service.Health{},
		TLS: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{r.ca.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})},
			ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: r.ca.pool,
		},
		Unary: []grpc.UnaryServerInterceptor{who.Unary}, Stream: []grpc.StreamServerInterceptor{who.Stream},
	})
	if err != nil {
		t.Fatal(err)
	}
	approvalv1.RegisterApprovalServiceServer(server.Server,
		authorize.NewServer(r.Store, r.Procedures, approvaltest.ProcedureID, r.waiting, r.Evidence, world,
			func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r.address = server.Addr()
	return r
}

// dial connects with the certificates, or without.
func (r *rig) dial(t *testing.T, certificates ...tls.Certificate) approvalv1.ApprovalServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: r.ca.pool, Certificates: certificates,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return approvalv1.NewApprovalServiceClient(conn)
}

// as is a call by whoever has that person's token.
func as(t *testing.T, person string) context.Context {
	t.Helper()
	return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer token of "+person)
}

// pending makes a release that waits for approvals.
func (r *rig) pending(t *testing.T, changes ...func(*releasev1.Request)) procedure.State {
	t.Helper()
	release := r.Reach(t, procedure.PhaseApprove, changes...)
	r.waiting.ids = append(r.waiting.ids, release)
	return r.State(t, release)
}

// approve is an approval of what there is to be seen in that state.
func approve(s procedure.State) *approvalv1.ApproveRequest {
	return &approvalv1.ApproveRequest{
		Release: s.Release, ChangeDigest: s.ChangeDigest, Comment: "seen", ShownDigest: authorize.ShownDigest(policy.NewIndex(approvaltest.Document()), s),
	}
}

func key(k string) func(*releasev1.Request) { return proceduretest.Key(k) }

// want checks the code of an error and the reason in its ErrorInfo. Whatever says that
// a request is wrong says which fields are.
func want(t *testing.T, what string, err error, code codes.Code, reason string) {
	t.Helper()
	got, fields := "", 0
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			got = d.GetReason()
			if d.GetDomain() != "shipwarden.approval.v1" {
				t.Errorf("%s: the reason is of %q", what, d.GetDomain())
			}
		case *errdetails.BadRequest:
			fields = len(d.GetFieldViolations())
		}
	}
	if (fields > 0) != (code == codes.InvalidArgument) {
		t.Errorf("%s: %s says of %d fields that they are wrong", what, code, fields)
	}
	if status.Code(err) != code || got != reason {
		t.Errorf("%s: got %v (%q), want %s (%q)", what, err, got, code, reason)
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pool        *x509.CertPool
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	certificate, parseErr := x509.ParseCertificate(der)
	if err := errors.Join(err, parseErr); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return authority{certificate, private, pool}
}

// issue signs a certificate with the names of the template.
func (a authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(2), a.certificate.NotBefore, a.certificate.NotAfter
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func named(common string, emails ...string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: common}, EmailAddresses: emails}
}

func at(uri string) *x509.Certificate {
	u, err := url.Parse(uri)
	if err != nil {
		panic(err)
	}
	return &x509.Certificate{URIs: []*url.URL{u}}
}
