// Package dnstest is a DNS server for tests: names lead where the test wants them
// to, over the same wire as in the field, also elsewhere at every look-up.
package dnstest

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Resolver starts a DNS server on loopback and returns a resolver that asks it alone.
// Every name has a list of answers, the first for the first look-up and so on, the
// last one for all that follow; an answer is a list of addresses with spaces between
// them. A name without an entry does not exist, and the name "silent.test" is never
// answered.
func Resolver(t testing.TB, names map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for DNS: %v", err)
	}
	s := &server{names: names, asked: map[string]int{}}
	var group sync.WaitGroup
	group.Go(func() { s.serve(conn) })
	t.Cleanup(func() {
		conn.Close()
		group.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// Use has every name that this process looks up looked up in Resolver, to the end of the
// test. Nothing else of the process may look up names meanwhile.
func Use(t testing.TB, names map[string][]string) {
	t.Helper()
	before := net.DefaultResolver
	net.DefaultResolver = Resolver(t, names)
	t.Cleanup(func() { net.DefaultResolver = before })
}

// server answers questions one after the other.
type server struct {
	names map[string][]string
	asked map[string]int
}

// serve answers until the socket is closed.
func (s *server) serve(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var question dnsmessage.Message
		if question.Unpack(buffer[:n]) != nil || len(question.Questions) != 1 {
			continue
		}
		if answer, ok := s.answer(question); ok {
			if _, err := conn.WriteTo(answer, from); err != nil {
				return
			}
		}
	}
}

// answer writes the answer to one question. A look-up asks for IPv4 and for IPv6
// apart, so they are counted apart.
func (s *server) answer(m dnsmessage.Message) ([]byte, bool) {
	q := m.Questions[0]
	name := strings.TrimSuffix(strings.ToLower(q.Name.String()), ".")
	if name == "silent.test" {
		return nil, false
	}
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}
	m.Additionals = nil
	answers, known := s.names[name]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	} else {
		at := min(s.asked[name+q.Type.String()], len(answers)-1)
		s.asked[name+q.Type.String()]++
		for _, text := range strings.Fields(answers[at]) {
			m.Answers = appendAnswer(m.Answers, q, netip.MustParseAddr(text))
		}
	}
	packed, err := m.Pack()
	return packed, err == nil
}

// appendAnswer adds an address where it is of the type that was asked for.
func appendAnswer(all []dnsmessage.Resource, q dnsmessage.Question, ip netip.Addr) []dnsmessage.Resource {
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	switch {
	case q.Type == dnsmessage.TypeA && ip.Is4():
		return append(all, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}})
	case q.Type == dnsmessage.TypeAAAA && ip.Is6():
		return append(all, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
	}
	return all
}
