package outward_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/dnstest"
	"github.com/blackdice/shipwarden/internal/outward"
)

// TestWhatANameLeadsToIsJudgedAtEveryConnection: an address of the configuration is a name,
// and who serves the name says what it is.
func TestWhatANameLeadsToIsJudgedAtEveryConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	dnstest.Use(t, map[string][]string{
		"meta.test":        {"169.254.169.254"},
		"zero.test":        {"0.0.0.0"},
		"here.test":        {"127.0.0.1"},
		"here6.test":       {"::1"},
		"nat64.test":       {"64:ff9b::a9fe:a9fe"},
		"both.test":        {"169.254.169.254 127.0.0.1"},
		"chat.localhost":   {"127.0.0.1"},
		"rebind.localhost": {"127.0.0.1", "169.254.169.254"},
		"away.localhost":   {"192.0.2.1"},
	})
	dial := outward.DialContext(5 * time.Second)
	reach := func(host string) error {
		conn, err := dial(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	for _, host := range []string{"127.0.0.1", "chat.localhost", "rebind.localhost"} {
		if err := reach(host); err != nil {
			t.Errorf("%s, which is said to be here: %v", host, err)
		}
	}
	for _, host := range []string{
		"meta.test", "zero.test", "here.test", "here6.test", "nat64.test", "both.test", "169.254.169.254", "0.0.0.0", "::",
		"away.localhost",   // in plain text, somewhere else
		"rebind.localhost", // the second answer of its name server
	} {
		if err := reach(host); !errors.Is(err, outward.ErrForbidden) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := dial(t.Context(), "tcp", "127.0.0.1"); !errors.Is(err, outward.ErrForbidden) {
		t.Errorf("without a port: %v", err)
	}
}
