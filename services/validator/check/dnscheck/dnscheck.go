// Package dnscheck asks a DNS server which addresses a name has.
//
// It asks the server that the validator's configuration has for the target, over TCP, so
// that nobody else can answer in its place unseen and no answer is cut short, and for names
// of the configured zones alone: a name is also a message to whoever serves it. Neither the
// hosts file nor search domains of this machine have a say.
package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// errAnswer means that a server's answer says nothing about the name.
var errAnswer = errors.New("the DNS server gave no answer that counts")

// Prober takes the samples of DNS checks (PD-6.1). It is safe for concurrent use.
type Prober struct{}

var _ check.Prober = Prober{}

// Probe asks once for IPv4 and once for IPv6. A name that is not there, one of the
// addresses that is missing, and one more than is allowed are failures. That the server
// does not answer, refuses, or says that it failed is an error: nothing is known then about
// the name.
func (Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	ctx, cancel := context.WithTimeout(ctx, criterion.Timeout(c))
	defer cancel()
	probe := c.GetDns()
	var found []netip.Addr
	missing := 0
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		ips, there, err := ask(ctx, t, probe.GetName(), kind)
		if err != nil {
			return check.Observation{Outcome: check.Error, Detail: err.Error()}
		}
		if !there {
			missing++
		}
		found = append(found, ips...)
	}
	if missing > 0 {
		return check.Observation{Outcome: check.Failed, Detail: "the name does not exist"}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	return compare(probe, slices.Compact(found))
}

// compare holds the addresses against those that are expected.
func compare(probe *releasev1.DnsProbe, found []netip.Addr) check.Observation {
	expected := map[netip.Addr]bool{}
	for _, text := range probe.GetAddresses() {
		ip, err := netip.ParseAddr(text)
		if err != nil {
			return check.Observation{Outcome: check.Error, Detail: fmt.Sprintf("%.64q is no address", text)}
		}
		expected[ip.Unmap()] = true
	}
	seen := "it resolves to " + list(found)
	for ip := range expected {
		if !slices.Contains(found, ip) {
			return check.Observation{Outcome: check.Failed, Detail: ip.String() + " is missing: " + seen}
		}
	}
	for _, ip := range found {
		if !expected[ip] && !probe.GetMoreAllowed() {
			return check.Observation{Outcome: check.Failed, Detail: ip.String() + " is not expected: " + seen}
		}
	}
	if len(expected) == 0 {
		return check.Observation{Outcome: check.Error, Detail: "nothing is expected: " + seen}
	}
	return check.Observation{Outcome: check.Passed, Detail: seen}
}

func list(found []netip.Addr) string {
	if len(found) == 0 {
		return "nothing"
	}
	var words []string
	for _, ip := range found {
		words = append(words, ip.String())
	}
	return strings.Join(words, ", ")
}

// ask asks for the addresses of one kind, and whether the name is there at all.
func ask(ctx context.Context, t *target.Target, name string, kind uint16) ([]netip.Addr, bool, error) {
	conn, err := t.DialDNS(ctx, name)
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = conn.Close() }()
	question := new(dns.Msg)
	question.SetQuestion(dns.Fqdn(name), kind)
	answer, err := exchange(ctx, conn, question)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, false, fmt.Errorf("%w: %w", errAnswer, ctx.Err())
	case err != nil:
		return nil, false, fmt.Errorf("%w: the connection was cut, or spoke no DNS", errAnswer)
	case answer.Id != question.Id, !answer.Response, answer.Truncated, !slices.Equal(answer.Question, question.Question):
		return nil, false, fmt.Errorf("%w: it is not an answer to the question", errAnswer)
	case answer.Rcode == dns.RcodeNameError:
		return nil, false, nil
	case answer.Rcode != dns.RcodeSuccess:
		return nil, false, fmt.Errorf("%w: %s", errAnswer, dns.RcodeToString[answer.Rcode])
	}
	return addresses(answer), true, nil
}

// exchange asks over a connection, which is closed where the context ends.
func exchange(ctx context.Context, conn net.Conn, question *dns.Msg) (*dns.Msg, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	wire := &dns.Conn{Conn: conn}
	if err := wire.WriteMsg(question); err != nil {
		return nil, err
	}
	return wire.ReadMsg()
}

// addresses are those of the name that was asked for, also by way of other names that the
// answer says it stands for. What else a server adds is of no concern.
func addresses(answer *dns.Msg) (found []netip.Addr) {
	names := map[string]bool{strings.ToLower(answer.Question[0].Name): true}
	for range answer.Answer {
		for _, r := range answer.Answer {
			if alias, ok := r.(*dns.CNAME); ok && names[strings.ToLower(r.Header().Name)] {
				names[strings.ToLower(alias.Target)] = true
			}
		}
	}
	for _, r := range answer.Answer {
		if !names[strings.ToLower(r.Header().Name)] {
			continue
		}
		var ip net.IP
		switch r := r.(type) {
		case *dns.A:
			ip = r.A
		case *dns.AAAA:
			ip = r.AAAA
		}
		if parsed, ok := netip.AddrFromSlice(ip); ok {
			found = append(found, parsed.Unmap())
		}
	}
	return found
}
