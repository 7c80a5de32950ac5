package dial_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/dnstest"
	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

func TestParseAddress(t *testing.T) {
	tests := []struct {
		name, address string
		want          error
	}{
		{"a name", "shop.example:8080", nil},
		{"a short name", "shop:80", nil},
		{"a private address, as most targets have", "10.1.2.3:80", nil},
		{"an IPv6 address", "[2001:db8::1]:443", nil},
		{"loopback, because the configuration says so", "127.0.0.1:8080", nil},
		{"loopback by its name", "localhost:8080", nil},
		{"IPv6 loopback", "[::1]:8080", nil},
		{"no port", "shop.example", dial.ErrAddress},
		{"port zero", "shop.example:0", dial.ErrAddress},
		{"port too large", "shop.example:65536", dial.ErrAddress},
		{"port by name", "shop.example:http", dial.ErrAddress},
		{"no host", ":80", dial.ErrAddress},
		{"nothing", "", dial.ErrAddress},
		{"an address as one decimal number", "2130706433:80", dial.ErrAddress},
		{"an address in hexadecimal", "0x7f000001:80", dial.ErrAddress},
		{"an address in octal", "0177.0.0.1:80", dial.ErrAddress},
		{"an address cut short", "127.1:80", dial.ErrAddress},
		{"a name that ends like a number", "shop.0x7f:80", dial.ErrAddress},
		{"a name with a trailing dot", "shop.example.:80", dial.ErrAddress},
		{"a name with a space", "shop example:80", dial.ErrAddress},
		{"a name that looks like another one", "shöp.example:80", dial.ErrAddress},
		{"a part that begins with a hyphen", "-shop.example:80", dial.ErrAddress},
		{"a part longer than DNS carries", strings.Repeat("a", 64) + ".example:80", dial.ErrAddress},
		{"a zone", "[fe80::1%eth0]:80", dial.ErrAddress},
		{"the metadata service", "169.254.169.254:80", dial.ErrForbidden},
		{"link-local", "169.254.1.1:80", dial.ErrForbidden},
		{"IPv6 link-local", "[fe80::1]:80", dial.ErrForbidden},
		{"the metadata service over IPv6", "[fd00:ec2::254]:80", dial.ErrForbidden},
		{"the metadata service of another cloud", "100.100.100.200:80", dial.ErrForbidden},
		{"the metadata service inside of IPv6", "[::ffff:169.254.169.254]:80", dial.ErrForbidden},
		{"the metadata service by NAT64", "[64:ff9b::a9fe:a9fe]:80", dial.ErrForbidden},
		{"the metadata service by 6to4", "[2002:a9fe:a9fe::1]:80", dial.ErrForbidden},
		{"the metadata service in the deprecated form", "[::a9fe:a9fe]:80", dial.ErrForbidden},
		{"unspecified, which reaches loopback", "0.0.0.0:80", dial.ErrForbidden},
		{"IPv6 unspecified", "[::]:80", dial.ErrForbidden},
		{"this network", "0.1.2.3:80", dial.ErrForbidden},
		{"multicast", "224.0.0.1:80", dial.ErrForbidden},
		{"IPv6 multicast", "[ff02::1]:80", dial.ErrForbidden},
		{"broadcast", "255.255.255.255:80", dial.ErrForbidden},
		{"loopback by NAT64, which is not how one says it", "[64:ff9b::7f00:1]:80", dial.ErrForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := dial.ParseAddress(tt.address)
			if !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
				t.Errorf("ParseAddress(%q) = %v, want %v", tt.address, err, tt.want)
			}
		})
	}
}

func TestEqualComparesAddressesAndNotTexts(t *testing.T) {
	a := parse(t, "Shop.Example:80")
	for text, want := range map[string]bool{
		"shop.example:80": true, "SHOP.example:80": true, "shop.example:81": false,
		"shop.example": false, "shop.example.evil:80": false, "evil:80": false, "": false,
	} {
		if a.Equal(text) != want {
			t.Errorf("%v.Equal(%q) = %v", a, text, !want)
		}
	}
}

func TestPinJudgesWhatANameResolvesTo(t *testing.T) {
	names := dnstest.Resolver(t, map[string][]string{
		"good.test":     {"10.0.0.1 2001:db8::1"},
		"meta.test":     {"169.254.169.254"},
		"mixed.test":    {"10.0.0.1 169.254.169.254"},
		"loopback.test": {"127.0.0.1"},
		"six.test":      {"::1"},
		"mapped.test":   {"::ffff:127.0.0.1"},
		"nat64.test":    {"64:ff9b::a9fe:a9fe"},
		"zero.test":     {"0.0.0.0"},
		"empty.test":    {""},
	})
	tests := []struct {
		name, host string
		want       error
	}{
		{"an ordinary name", "good.test", nil},
		{"a name of the metadata service", "meta.test", dial.ErrForbidden},
		{"one forbidden address condemns all", "mixed.test", dial.ErrForbidden},
		{"a name of loopback", "loopback.test", dial.ErrForbidden},
		{"a name of IPv6 loopback", "six.test", dial.ErrForbidden},
		{"a name of loopback inside of IPv6", "mapped.test", dial.ErrForbidden},
		{"a name of the metadata service by NAT64", "nat64.test", dial.ErrForbidden},
		{"a name of the unspecified address", "zero.test", dial.ErrForbidden},
		{"a name without addresses", "empty.test", dial.ErrUnresolved},
		{"a name that does not exist", "nowhere.test", dial.ErrUnresolved},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(t, tt.host+":80").Pin(t.Context(), names)
			if !errors.Is(err, tt.want) || (tt.want == nil && err != nil) {
				t.Errorf("Pin(%q) = %v, want %v", tt.host, err, tt.want)
			}
		})
	}
}

func TestANameServerThatIsSilentIsUnresolved(t *testing.T) {
	names := dnstest.Resolver(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := parse(t, "silent.test:80").Pin(ctx, names); !errors.Is(err, dial.ErrUnresolved) {
		t.Errorf("Pin = %v, want %v", err, dial.ErrUnresolved)
	}
}

// TestRebinding shows that the answer that is judged is the answer that is used: a
// name server that answers well once and badly afterward gains nothing.
func TestRebinding(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	names := dnstest.Resolver(t, map[string][]string{"rebind.test": {"192.0.2.1", "127.0.0.1"}})
	address := parse(t, "rebind.test:"+port)
	pinned, err := address.Pin(t.Context(), names)
	if err != nil {
		t.Fatalf("first look-up: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if conn, err := pinned.DialContext(ctx, "tcp", address.String()); err == nil {
		t.Errorf("connected to %v by an address that was not judged", conn.RemoteAddr())
	}
	if _, err := address.Pin(t.Context(), names); !errors.Is(err, dial.ErrForbidden) {
		t.Errorf("second look-up: %v, want %v", err, dial.ErrForbidden)
	}
}

func TestConnect(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := parse(t, listener.Addr().String())
	pinned, err := address.Pin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pinned.DialContext(t.Context(), "tcp", address.String())
	if err != nil {
		t.Fatalf("connect to what the configuration says: %v", err)
	}
	conn.Close()
	if _, err := pinned.DialContext(t.Context(), "tcp", "192.0.2.1:80"); !errors.Is(err, dial.ErrForbidden) {
		t.Errorf("connect elsewhere: %v, want %v", err, dial.ErrForbidden)
	}
	if _, err := (dial.Pinned{}).Connect(t.Context()); !errors.Is(err, dial.ErrAddress) {
		t.Errorf("connect to nothing: %v, want %v", err, dial.ErrAddress)
	}
	if _, err := (dial.Address{}).Pin(t.Context(), nil); !errors.Is(err, dial.ErrAddress) {
		t.Errorf("pin nothing: %v, want %v", err, dial.ErrAddress)
	}
}

// TestConnectTriesEveryAddress has the name lead to two addresses of which only the
// second one listens.
func TestConnectTriesEveryAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	names := dnstest.Resolver(t, map[string][]string{"two.localhost": {"::1 127.0.0.1"}})
	pinned, err := parse(t, "two.localhost:"+port).Pin(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pinned.Connect(t.Context())
	if err != nil {
		t.Fatalf("Connect: %v", err)
	}
	conn.Close()
}

func parse(t *testing.T, text string) dial.Address {
	t.Helper()
	a, err := dial.ParseAddress(text)
	if err != nil {
		t.Fatalf("ParseAddress(%q): %v", text, err)
	}
	return a
}
