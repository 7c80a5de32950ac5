package referrers_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/dnstest"
	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/referrers"
)

// TestARegistryLeadsNowhereElse: neither what it answers nor who serves its name leads to
// somebody else, and a password goes nowhere but to the servers of the configuration.
func TestARegistryLeadsNowhereElse(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a server without an entry was asked for %s, with %q", r.URL, r.Header["Authorization"])
	}))
	t.Cleanup(thief.Close)
	plain := serve(t, true, nil)
	a, _ := image(t, plain)
	_, port, _ := strings.Cut(plain, ":")
	_, thiefs, _ := strings.Cut(strings.TrimPrefix(thief.URL, "http://"), ":")
	dnstest.Use(t, map[string][]string{
		// One connection to find out that it speaks no TLS, and one to speak.
		"registry.localhost": {"127.0.0.1", "127.0.0.1", "169.254.169.254"}, "registry.test": {"127.0.0.1"}, "thief.test": {"127.0.0.1"},
	})
	repository := strings.TrimPrefix(a.GetLocation(), plain)
	for i, name := range []string{"registry.localhost", "registry.localhost", "registry.test"} {
		f := finder(t, name+":"+port)
		a.Location = name + ":" + port + repository
		_, err := f.Find(t.Context(), a, nil)
		f.Close()
		if i == 0 && err != nil || i > 0 && (!errors.Is(err, referrers.ErrUnreachable) || !errors.Is(err, outward.ErrForbidden)) {
			t.Errorf("%d. %s: %v", i, name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	host := serve(t, true, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://thief.test:`+thiefs+`/token",service="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	f, err := referrers.New([]*configv1.Registry{{Host: host, Insecure: true, User: "ci", PasswordFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	a.Location = host + repository
	if _, err := f.Find(t.Context(), a, nil); !errors.Is(err, referrers.ErrUnreachable) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("tokens are elsewhere: %v", err)
	}
}
