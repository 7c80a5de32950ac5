package dnscheck_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/types/known/durationpb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/check/dnscheck"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// zone is what the server of the tests has.
var zone = map[string][]string{
	"web.shop.test.":    {"web.shop.test. 60 IN A 192.0.2.1", "web.shop.test. 60 IN A 192.0.2.2", "web.shop.test. 60 IN AAAA 2001:db8::1"},
	"four.shop.test.":   {"four.shop.test. 60 IN A 192.0.2.1"},
	"www.shop.test.":    {"www.shop.test. 60 IN CNAME edge.cdn.test.", "edge.cdn.test. 60 IN CNAME EDGE2.cdn.test.", "edge2.cdn.test. 60 IN A 192.0.2.9"},
	"loop.shop.test.":   {"loop.shop.test. 60 IN CNAME loop.shop.test."},
	"odd.shop.test.":    {"odd.shop.test. 60 IN A 192.0.2.1", "other.shop.test. 60 IN A 192.0.2.66"},
	"empty.shop.test.":  {},
	"localhost.test.":   {"localhost.test. 60 IN A 192.0.2.1"},
	"broken.shop.test.": nil, "refused.shop.test.": nil, "other.shop.test.": nil, "cut.shop.test.": nil, "silent.shop.test.": nil, "closed.shop.test.": nil,
}

// serve starts the server on loopback, over TCP.
func serve(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	started := make(chan struct{})
	server := &dns.Server{Listener: listener, NotifyStartedFunc: func() { close(started) }, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(q)
		name := q.Question[0].Name
		records, known := zone[name]
		switch name {
		case "broken.shop.test.":
			answer.Rcode = dns.RcodeServerFailure
		case "refused.shop.test.":
			answer.Rcode = dns.RcodeRefused
		case "other.shop.test.":
			answer.Question[0].Name = "web.shop.test."
		case "cut.shop.test.":
			answer.Truncated = true
		case "closed.shop.test.":
			w.Close()
			return
		case "silent.shop.test.":
			<-ended
			return
		default:
			if !known {
				answer.Rcode = dns.RcodeNameError
			}
		}
		for _, text := range records {
			record, err := dns.NewRR(text)
			if err != nil {
				t.Error(err)
				return
			}
			if kind := record.Header().Rrtype; kind == dns.TypeCNAME || kind == q.Question[0].Qtype {
				answer.Answer = append(answer.Answer, record)
			}
		}
		_ = w.WriteMsg(answer)
	})}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		close(ended)
		if err := server.Shutdown(); err != nil {
			t.Errorf("shut down: %v", err)
		}
		<-done
	})
	return listener.Addr().String()
}

func TestProbe(t *testing.T) {
	address := serve(t)
	both := []string{"192.0.2.2", "192.0.2.1", "2001:db8::1"}
	for _, test := range []struct {
		name, asked string
		addresses   []string
		more        bool
		want        check.Outcome
		detail      string
	}{
		{name: "all of them", asked: "web.shop.test", addresses: both, want: check.Passed, detail: "192.0.2.1, 192.0.2.2, 2001:db8::1"},
		{name: "one too many", asked: "web.shop.test", addresses: both[:2], want: check.Failed, detail: "2001:db8::1 is not expected"},
		{name: "one too many that is allowed", asked: "web.shop.test", addresses: both[:1], more: true, want: check.Passed},
		{name: "one that is missing", asked: "four.shop.test", addresses: both[:2], want: check.Failed, detail: "192.0.2.2 is missing"},
		{name: "one that is missing among others", asked: "four.shop.test", addresses: both[:2], more: true, want: check.Failed, detail: "192.0.2.2 is missing"},
		{name: "IPv4 written as IPv6", asked: "four.shop.test", addresses: []string{"::ffff:192.0.2.1"}, want: check.Passed},
		{name: "by way of other names", asked: "www.shop.test", addresses: []string{"192.0.2.9"}, want: check.Passed},
		{name: "by way of itself", asked: "loop.shop.test", addresses: both[:1], want: check.Failed, detail: "resolves to nothing"},
		{name: "what was not asked for does not count", asked: "odd.shop.test", addresses: []string{"192.0.2.1", "192.0.2.66"}, want: check.Failed, detail: "192.0.2.66 is missing"},
		{name: "no address", asked: "empty.shop.test", addresses: both[:1], want: check.Failed, detail: "resolves to nothing"},
		{name: "no such name", asked: "nowhere.shop.test", addresses: both[:1], want: check.Failed, detail: "does not exist"},
		{name: "the server fails", asked: "broken.shop.test", addresses: both[:1], want: check.Error, detail: "SERVFAIL"},
		{name: "the server refuses", asked: "refused.shop.test", addresses: both[:1], want: check.Error, detail: "REFUSED"},
		{name: "the answer to another question", asked: "other.shop.test", addresses: both[:1], want: check.Error, detail: "not an answer to the question"},
		{name: "an answer that was cut", asked: "cut.shop.test", addresses: both[:1], want: check.Error, detail: "not an answer"},
		{name: "a connection that was cut", asked: "closed.shop.test", addresses: both[:1], want: check.Error, detail: "cut"},
		{name: "silence", asked: "silent.shop.test", addresses: both[:1], want: check.Error, detail: "deadline exceeded"},
		{name: "the name of a host of this machine", asked: "localhost", addresses: []string{"127.0.0.1"}, want: check.Error, detail: "none of the dns_zones"},
		{name: "a name of another zone", asked: "secret.evil.test", addresses: both[:1], want: check.Error, detail: "none of the dns_zones"},
		{name: "a name that ends like the zone", asked: "evilshop.test", addresses: both[:1], want: check.Error, detail: "none of the dns_zones"},
		{name: "an address that is none", asked: "web.shop.test", addresses: []string{"web"}, want: check.Error, detail: "is no address"},
		{name: "nothing is expected", asked: "web.shop.test", more: true, want: check.Error, detail: "nothing is expected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			looked, err := target.New(&configv1.TargetAddress{Target: "eu1", DnsServer: address, DnsZones: []string{"shop.test"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			probe := &releasev1.DnsProbe{Name: test.asked, Addresses: test.addresses, MoreAllowed: test.more}
			if test.name == "silence" {
				probe.Timeout = durationpb.New(100 * time.Millisecond)
			}
			got := dnscheck.Prober{}.Probe(t.Context(), looked, &releasev1.Check{Probe: &releasev1.Check_Dns{Dns: probe}})
			if got.Outcome != test.want || !strings.Contains(got.Detail, test.detail) {
				t.Errorf("Probe = %v %q, want %v %q", got.Outcome, got.Detail, test.want, test.detail)
			}
		})
	}
}

// TestAServerThatIsNotThereSaysNothing: of the name nothing is known then.
func TestAServerThatIsNotThereSaysNothing(t *testing.T) {
	looked, err := target.New(&configv1.TargetAddress{Target: "eu1", DnsServer: "127.0.0.1:1", DnsZones: []string{"test"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &releasev1.Check{Probe: &releasev1.Check_Dns{Dns: &releasev1.DnsProbe{Name: "web.test", Addresses: []string{"192.0.2.1"}}}}
	if got := (dnscheck.Prober{}).Probe(t.Context(), looked, c); got.Outcome != check.Error {
		t.Errorf("Probe = %v %q", got.Outcome, got.Detail)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := (dnscheck.Prober{}).Probe(ctx, looked, c); got.Outcome != check.Error {
		t.Errorf("after its context: %v %q", got.Outcome, got.Detail)
	}
}
