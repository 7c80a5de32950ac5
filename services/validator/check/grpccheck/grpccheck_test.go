package grpccheck_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/grpccheck"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/target/tlstest"
)

// serve starts a gRPC server on loopback with this health service, or without one.
func serve(t *testing.T, answers healthv1.HealthServer, options ...grpc.ServerOption) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	if answers != nil {
		healthv1.RegisterHealthServer(server, answers)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		// A server that is stopped before it began to serve says so.
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	return listener.Addr().String()
}

// says is a server whose interceptor answers in place of the health service.
func says(t *testing.T, answer func(context.Context) error) string {
	t.Helper()
	return serve(t, health.NewServer(), grpc.UnaryInterceptor(
		func(ctx context.Context, _ any, _ *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
			return nil, answer(ctx)
		}))
}

func TestProbe(t *testing.T) {
	year := time.Now().AddDate(1, 0, 0)
	authority, other := tlstest.NewAuthority(t, year), tlstest.NewAuthority(t, year)
	states := health.NewServer()
	states.SetServingStatus("shop.Checkout", healthv1.HealthCheckResponse_SERVING)
	states.SetServingStatus("shop.Cart", healthv1.HealthCheckResponse_NOT_SERVING)
	plain := serve(t, states)
	secure := serve(t, states, grpc.Creds(credentials.NewServerTLSFromCert(new(authority.Issue(year)))))
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	webs := httptest.NewUnstartedServer(http.NotFoundHandler())
	webs.TLS = &tls.Config{Certificates: []tls.Certificate{authority.Issue(year)}, NextProtos: []string{"http/1.1"}}
	webs.StartTLS()
	defer webs.Close()
	code := func(c codes.Code) string {
		return says(t, func(context.Context) error { return status.Error(c, "s3cret") })
	}
	for _, test := range []struct {
		name, address string
		secure        bool
		trusted       *tlstest.Authority
		service       string
		want          check.Outcome
		detail        string
	}{
		{name: "the server", address: plain, want: check.Passed, detail: "SERVING"},
		{name: "a service", address: plain, service: "shop.Checkout", want: check.Passed},
		{name: "a service that is not serving", address: plain, service: "shop.Cart", want: check.Failed, detail: "NOT_SERVING"},
		{name: "a service that it does not know", address: plain, service: "shop.Stock", want: check.Failed, detail: "does not know the service"},
		{name: "with TLS", address: secure, secure: true, want: check.Passed},
		{name: "with TLS of another authority", address: secure, secure: true, trusted: other, want: check.Failed, detail: "unknown authority"},
		{name: "TLS where none is", address: plain, secure: true, want: check.Failed, detail: "no TLS"},
		{name: "none where TLS is", address: secure, want: check.Failed, detail: "connection was cut"},
		{name: "no health service", address: serve(t, nil), want: check.Failed, detail: "does not speak grpc.health.v1"},
		{name: "a server that fails", address: code(codes.Internal), want: check.Failed, detail: "answers Internal"},
		{name: "a server that lets nobody in", address: code(codes.PermissionDenied), want: check.Error, detail: "PermissionDenied"},
		{name: "a server that wants to know who asks", address: code(codes.Unauthenticated), want: check.Error, detail: "Unauthenticated"},
		{name: "a web server", address: web.Listener.Addr().String(), want: check.Failed, detail: "no answer"},
		{name: "a web server with TLS", address: webs.Listener.Addr().String(), secure: true, want: check.Failed},
		{name: "silence", address: says(t, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }), want: check.Failed, detail: "deadline exceeded"},
		{name: "nobody there", address: "127.0.0.1:1", want: check.Failed, detail: "connection refused"},
		{name: "no address", want: check.Error, detail: "no grpc_address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := &configv1.TargetAddress{Target: "eu1", GrpcAddress: test.address, GrpcPlaintext: !test.secure && test.address != ""}
			if test.trusted == nil {
				test.trusted = authority
			}
			at.Tls = &configv1.Tls{CaFile: test.trusted.File()}
			looked, err := target.New(at, nil)
			if err != nil {
				t.Fatal(err)
			}
			probe := &releasev1.GrpcProbe{Service: test.service}
			if test.name == "silence" {
				probe.Timeout = durationpb.New(100 * time.Millisecond)
			}
			got := grpccheck.Prober{}.Probe(t.Context(), looked, &releasev1.Check{Probe: &releasev1.Check_Grpc{Grpc: probe}})
			if got.Outcome != test.want || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, test.want, test.detail)
			}
			if strings.Contains(got.Detail, "s3cret") {
				t.Errorf("the server's words are in the detail: %q", got.Detail)
			}
		})
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	address := says(t, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	looked, err := target.New(&configv1.TargetAddress{Target: "eu1", GrpcAddress: address, GrpcPlaintext: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &releasev1.Check{Probe: &releasev1.Check_Grpc{Grpc: &releasev1.GrpcProbe{}}}
	if got := (grpccheck.Prober{}).Probe(ctx, looked, c); got.Outcome != check.Error {
		t.Errorf("Probe = %v %q, want an error", got.Outcome, got.Detail)
	}
}
