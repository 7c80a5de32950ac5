package tlscheck_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/tlscheck"
	"github.com/blackdice/shipwarden/services/validator/target"
	"github.com/blackdice/shipwarden/services/validator/target/tlstest"
)

// serve starts a TLS server on loopback, and returns its address.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	return accept(t, listener, func(conn net.Conn) { _ = conn.(*tls.Conn).Handshake() })
}

// accept does the same with every connection, until the test ends.
func accept(t *testing.T, listener net.Listener, do func(net.Conn)) string {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			do(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().String()
}

func TestProbe(t *testing.T) {
	now := time.Now()
	authority, other := tlstest.NewAuthority(t, now.AddDate(1, 0, 0)), tlstest.NewAuthority(t, now.AddDate(1, 0, 0))
	short := tlstest.NewAuthority(t, now.Add(10*24*time.Hour))
	month, three := authority.Issue(now.AddDate(0, 1, 0), "shop.test"), releasev1.TlsProbe_VERSION_TLS_1_3
	server := func(c tls.Certificate, least, most uint16) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: least, MaxVersion: most}
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		config  *tls.Config
		address string
		trusted *tlstest.Authority
		probe   *releasev1.TlsProbe
		at      time.Time
		want    check.Outcome
		detail  string
	}{
		{name: "a good server", config: server(month, tls.VersionTLS12, 0), want: check.Passed, detail: "TLS 1.3, certificate sha256:"},
		{name: "for the name that is asked for", config: server(month, tls.VersionTLS12, 0), probe: &releasev1.TlsProbe{Name: "shop.test"}, want: check.Passed},
		{name: "for another name", config: server(month, tls.VersionTLS12, 0), probe: &releasev1.TlsProbe{Name: "bank.test"}, want: check.Failed, detail: "valid for shop.test, not bank.test"},
		{name: "of an authority that is not trusted", config: server(month, tls.VersionTLS12, 0), trusted: other, want: check.Failed, detail: "unknown authority"},
		{name: "of an authority that the system does not trust", config: server(month, tls.VersionTLS12, 0), trusted: nil, address: "system", want: check.Failed, detail: "certificate not accepted"},
		{name: "long enough", config: server(month, tls.VersionTLS12, 0), probe: &releasev1.TlsProbe{MinDays: 27}, want: check.Passed},
		{name: "not long enough", config: server(month, tls.VersionTLS12, 0), probe: &releasev1.TlsProbe{MinDays: 40}, want: check.Failed, detail: "expected at least 40"},
		{name: "not long enough by the clock", config: server(month, tls.VersionTLS12, 0), probe: &releasev1.TlsProbe{MinDays: 1}, at: now.AddDate(0, 1, 0).Add(-23 * time.Hour), want: check.Failed, detail: "ends in 0 days"},
		{name: "over by the clock", config: server(month, tls.VersionTLS12, 0), at: now.AddDate(0, 2, 0), want: check.Failed, detail: "expired"},
		{name: "an authority that ends before its certificate", config: server(short.Issue(now.AddDate(1, 0, 0)), tls.VersionTLS12, 0), trusted: short, probe: &releasev1.TlsProbe{MinDays: 14}, want: check.Failed, detail: "ends in 9 days"},
		{name: "an old protocol is all it speaks", config: server(month, tls.VersionTLS10, tls.VersionTLS11), want: check.Failed, detail: "TLS 1.1 is spoken, expected at least TLS 1.2"},
		{name: "an old protocol is still accepted", config: server(month, tls.VersionTLS10, 0), want: check.Failed, detail: "TLS 1.1 is still accepted"},
		{name: "TLS 1.3 is not spoken", config: server(month, tls.VersionTLS12, tls.VersionTLS12), probe: &releasev1.TlsProbe{MinVersion: three}, want: check.Failed, detail: "TLS 1.2 is spoken, expected at least TLS 1.3"},
		{name: "TLS 1.3 is not alone", config: server(month, tls.VersionTLS12, 0), probe: &releasev1.TlsProbe{MinVersion: three}, want: check.Failed, detail: "TLS 1.2 is still accepted"},
		{name: "TLS 1.3 alone", config: server(month, tls.VersionTLS13, 0), probe: &releasev1.TlsProbe{MinVersion: three}, want: check.Passed},
		{name: "no TLS", address: accept(t, plain, func(c net.Conn) { c.Write([]byte("220 hello, who is there?\n")) }), want: check.Failed, detail: "no TLS where TLS is expected"},
		{name: "nobody there", address: "127.0.0.1:1", want: check.Failed, detail: "connection refused"},
		{name: "no address", address: "none", want: check.Error, detail: "no tls_address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := &configv1.TargetAddress{Target: "eu1", TlsAddress: test.address, Tls: &configv1.Tls{CaFile: authority.File()}}
			switch {
			case test.trusted != nil:
				at.Tls.CaFile = test.trusted.File()
			case test.address == "system":
				at.Tls = nil
			case test.address == "none":
				at.TlsAddress = ""
			}
			if test.config != nil {
				at.TlsAddress = serve(t, test.config)
			}
			looked, err := target.New(at, nil)
			if err != nil {
				t.Fatal(err)
			}
			prober := tlscheck.Prober{}
			if !test.at.IsZero() {
				prober.Now = func() time.Time { return test.at }
			}
			if test.probe == nil {
				test.probe = &releasev1.TlsProbe{}
			}
			got := prober.Probe(t.Context(), looked, &releasev1.Check{Probe: &releasev1.Check_Tls{Tls: test.probe}})
			if got.Outcome != test.want || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, test.want, test.detail)
			}
		})
	}
}

// TestSilenceIsNotARefusal: a server that agrees on TLS 1.3 and then says nothing has not
// refused what is older.
func TestSilenceIsNotARefusal(t *testing.T) {
	authority := tlstest.NewAuthority(t, time.Now().AddDate(1, 0, 0))
	config := &tls.Config{Certificates: []tls.Certificate{authority.Issue(time.Now().AddDate(1, 0, 0))}, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first, ended := true, make(chan struct{})
	defer close(ended)
	address := accept(t, listener, func(conn net.Conn) {
		if first {
			first = false
			_ = tls.Server(conn, config).Handshake()
			return
		}
		<-ended
	})
	looked, err := target.New(&configv1.TargetAddress{Target: "eu1", TlsAddress: address, Tls: &configv1.Tls{CaFile: authority.File()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &releasev1.Check{Probe: &releasev1.Check_Tls{Tls: &releasev1.TlsProbe{Timeout: durationpb.New(300 * time.Millisecond)}}}
	if got := (tlscheck.Prober{}).Probe(t.Context(), looked, c); got.Outcome != check.Failed || !strings.Contains(got.Detail, "deadline exceeded") {
		t.Errorf("Probe = %v %q", got.Outcome, got.Detail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := (tlscheck.Prober{}).Probe(ctx, looked, c); got.Outcome != check.Error {
		t.Errorf("after its context: %v %q", got.Outcome, got.Detail)
	}
}
