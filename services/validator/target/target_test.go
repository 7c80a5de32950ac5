package target_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target"
)

func TestNewRefusesWhatCannotBeLookedAt(t *testing.T) {
	tests := []struct {
		name   string
		config *configv1.TargetAddress
		want   string // the field at fault; empty where all is well
	}{
		{"everything", &configv1.TargetAddress{Target: "eu1", BaseUrl: "https://shop.example:8443/app/", TcpAddress: "shop.example:5432", DigestPath: "/digest"}, ""},
		{"nothing to look at", &configv1.TargetAddress{Target: "eu1"}, ""},
		{"loopback", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://127.0.0.1:8080"}, ""},
		{"everything else", &configv1.TargetAddress{Target: "eu1", GrpcAddress: "shop.example:9090", TlsAddress: "shop.example:443", DnsServer: "10.0.0.10:53", DnsZones: []string{"shop.example"}}, ""},
		{"a gRPC address without a port", &configv1.TargetAddress{Target: "eu1", GrpcAddress: "shop.example"}, "grpc_address: not a host"},
		{"no TLS at no address", &configv1.TargetAddress{Target: "eu1", GrpcPlaintext: true}, "grpc_plaintext: needs"},
		{"the metadata service by TLS", &configv1.TargetAddress{Target: "eu1", TlsAddress: "169.254.169.254:443"}, "tls_address: address must not be reached"},
		{"a DNS server for all names", &configv1.TargetAddress{Target: "eu1", DnsServer: "10.0.0.10:53"}, "dns_server: goes with"},
		{"names without a DNS server", &configv1.TargetAddress{Target: "eu1", DnsZones: []string{"shop.example"}}, "dns_server: goes with"},
		{"an authority that is not there", &configv1.TargetAddress{Target: "eu1", Tls: &configv1.Tls{CaFile: "/nowhere/ca.pem"}}, "tls: "},
		{"no target", &configv1.TargetAddress{}, "target: required"},
		{"a file", &configv1.TargetAddress{Target: "eu1", BaseUrl: "file:///etc/passwd"}, "base_url: scheme"},
		{"gopher", &configv1.TargetAddress{Target: "eu1", BaseUrl: "gopher://shop.example/"}, "base_url: scheme"},
		{"no scheme", &configv1.TargetAddress{Target: "eu1", BaseUrl: "shop.example"}, "base_url: scheme"},
		{"a password", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://me:secret@shop.example/"}, "base_url: must not hold a user"},
		{"a query", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://shop.example/?a=b"}, "base_url: must be"},
		{"dot segments", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://shop.example/a/../b"}, "base_url: must not hold"},
		{"the metadata service", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://169.254.169.254/"}, "base_url: address must not be reached"},
		{"loopback in hexadecimal", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://0x7f000001/"}, "base_url: not a host"},
		{"no host", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http:///x"}, "base_url: not a host"},
		{"a TCP address without a port", &configv1.TargetAddress{Target: "eu1", TcpAddress: "shop.example"}, "tcp_address: not a host"},
		{"a digest path without a base", &configv1.TargetAddress{Target: "eu1", DigestPath: "/digest"}, "digest_path: needs"},
		{"a digest path that leads elsewhere", &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://shop.example", DigestPath: "//evil/digest"}, "digest_path: not a path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := target.New(tt.config, nil)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("New: %v", err)
			case tt.want != "" && !errors.Is(err, target.ErrConfig):
				t.Errorf("New = %v, want %v", err, target.ErrConfig)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("New = %v, want it to say %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error gives the password away: %v", err)
			}
		})
	}
}

func TestNewNamesAllFaultsAtOnce(t *testing.T) {
	_, err := target.New(&configv1.TargetAddress{Target: "eu1", BaseUrl: "ftp://x", TcpAddress: "x", DigestPath: "y"}, nil)
	for _, field := range []string{"base_url", "tcp_address", "digest_path"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("New = %v, want it to name %s", err, field)
		}
	}
}

func TestWhatATargetSaysOfItself(t *testing.T) {
	full := newTarget(t, &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://Shop.example/app/", TcpAddress: "Shop.example:5432", DigestPath: "/d"})
	if got := []string{full.ID(), full.BaseURL(), full.TCPAddress(), full.DigestPath()}; strings.Join(got, " ") != "eu1 http://Shop.example/app shop.example:5432 /d" {
		t.Errorf("full target: %q", got)
	}
	empty := newTarget(t, &configv1.TargetAddress{Target: "eu1"})
	if empty.BaseURL() != "" || empty.TCPAddress() != "" {
		t.Errorf("empty target: %q %q", empty.BaseURL(), empty.TCPAddress())
	}
	if _, err := empty.URL("/"); !errors.Is(err, target.ErrConfig) {
		t.Errorf("URL of an empty target: %v, want %v", err, target.ErrConfig)
	}
	if _, err := empty.Dial(t.Context()); !errors.Is(err, target.ErrNotSeen) {
		t.Errorf("Dial of an empty target: %v, want %v", err, target.ErrNotSeen)
	}
}

func TestURLStaysBelowTheBase(t *testing.T) {
	tests := []struct {
		name, path, want string // want is empty where the path is refused
	}{
		{"the root", "/", "http://shop.example/app/"},
		{"a path", "/health", "http://shop.example/app/health"},
		{"a query", "/health?deep=1&x=%2F", "http://shop.example/app/health?deep=1&x=%2F"},
		{"a query that looks like a URL", "/health?u=http://evil/", "http://shop.example/app/health?u=http://evil/"},
		{"an escaped slash", "/a%2Fb", "http://shop.example/app/a%2Fb"},
		{"a colon and an at sign", "/a:b@c", "http://shop.example/app/a:b@c"},
		{"three dots", "/...", "http://shop.example/app/..."},
		{"nothing", "", ""},
		{"no slash", "health", ""},
		{"another host", "//evil/", ""},
		{"another host, escaped", "/%2Fevil/", ""},
		{"another host behind a backslash", `/\evil/`, ""},
		{"another host behind an escaped backslash", "/%5Cevil/", ""},
		{"a URL", "http://evil/", ""},
		{"a file", "file:///etc/passwd", ""},
		{"an address that goes on", ".evil.example/", ""},
		{"a user and a host", "@evil/", ""},
		{"a port", ":81/", ""},
		{"up", "/../admin", ""},
		{"up, later", "/a/../../admin", ""},
		{"up, escaped", "/%2e%2e/admin", ""},
		{"nowhere", "/./health", ""},
		{"a fragment", "/a#b", ""},
		{"a space", "/a b", ""},
		{"a line break", "/a\r\nHost: evil", ""},
		{"an escaped line break", "/a%0d%0aHost:%20evil", ""},
		{"a zero byte", "/a\x00", ""},
		{"an escape that is none", "/%zz", ""},
		{"a letter that is not ASCII", "/ö", ""},
	}
	t1 := newTarget(t, &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://shop.example/app/"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := t1.URL(tt.path)
			switch {
			case tt.want == "" && !errors.Is(err, target.ErrPath):
				t.Errorf("URL(%q) = %v, %v, want %v", tt.path, u, err, target.ErrPath)
			case tt.want != "" && (err != nil || u.String() != tt.want):
				t.Errorf("URL(%q) = %v, %v, want %s", tt.path, u, err, tt.want)
			}
		})
	}
}

func FuzzURLNeverLeavesTheHost(f *testing.F) {
	for _, seed := range []string{"/", "//evil", `/\evil`, "/%2f/evil", "/a/..;/b", "/a?b#c", "/%"} {
		shaketest.Add(f, seed)
	}
	t1 := newTarget(f, &configv1.TargetAddress{Target: "eu1", BaseUrl: "http://shop.example:8080/app"})
	f.Fuzz(func(t *testing.T, path string) {
		u, err := t1.URL(path)
		if err != nil {
			return
		}
		if u.Scheme != "http" || u.Host != "shop.example:8080" || u.User != nil || !strings.HasPrefix(u.EscapedPath(), "/app/") {
			t.Errorf("URL(%q) = %s", path, u)
		}
	})
}

func newTarget(t testing.TB, c *configv1.TargetAddress) *target.Target {
	t.Helper()
	created, err := target.New(c, nil)
	if err != nil {
		t.Fatalf("target: %v", err)
	}
	return created
}
