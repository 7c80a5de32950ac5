package tcpcheck_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/dnstest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/tcpcheck"
	"github.com/blackdice/shipwarden/services/validator/target"
)

func TestProbe(t *testing.T) {
	open, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	names := dnstest.Resolver(t, map[string][]string{"meta.test": {"169.254.169.254"}})

	tests := []struct {
		name, address string
		want          check.Outcome
		detail        string
	}{
		{"somebody listens", open.Addr().String(), check.Passed, "connected to 127.0.0.1:"},
		{"nobody listens", "127.0.0.1:1", check.Failed, "connection refused"},
		{"no address is configured", "", check.Error, "no tcp_address"},
		{"the name does not exist", "nowhere.test:5432", check.Error, "does not resolve"},
		{"the name server is silent", "silent.test:5432", check.Error, "does not resolve"},
		{"the name leads to the metadata service", "meta.test:80", check.Error, "must not be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			looked, err := target.New(&configv1.TargetAddress{Target: "eu1", TcpAddress: tt.address}, names)
			if err != nil {
				t.Fatal(err)
			}
			patience := time.Minute
			if tt.name == "the name server is silent" {
				patience = 200 * time.Millisecond
			}
			c := &releasev1.Check{Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{Timeout: durationpb.New(patience)}}}
			got := tcpcheck.Prober{}.Probe(t.Context(), looked, c)
			if got.Outcome != tt.want || !strings.Contains(got.Detail, tt.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, tt.want, tt.detail)
			}
		})
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	looked, err := target.New(&configv1.TargetAddress{Target: "eu1", TcpAddress: "127.0.0.1:1"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := (tcpcheck.Prober{}).Probe(ctx, looked, &releasev1.Check{}); got.Outcome != check.Error {
		t.Errorf("Probe = %v %q, want an error", got.Outcome, got.Detail)
	}
}
