package artifact_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/dnstest"
	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
)

// TestARegistryLeadsNowhereElse: who may change production talks to the servers of its
// configuration and to nobody else, whatever one of them answers.
func TestARegistryLeadsNowhereElse(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a server without an entry was asked for %s, with %q", r.URL, r.Header["Authorization"])
	}))
	t.Cleanup(elsewhere.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(elsewhere.URL, "http://"), ":")
	dnstest.Use(t, map[string][]string{"thief.test": {"127.0.0.1"}})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	to := func(part, method, address string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			leads := strings.Contains(r.URL.Path, part) && r.Method == method
			if leads {
				http.Redirect(w, r, address+"?signature=s3cret", http.StatusTemporaryRedirect)
			}
			return leads
		}
	}
	for name, test := range map[string]struct {
		spoil func(w http.ResponseWriter, r *http.Request) bool
		want  error
	}{
		"manifests are elsewhere":      {to("/manifests/", http.MethodGet, elsewhere.URL), outward.ErrNotConfigured},
		"configurations are elsewhere": {to("/blobs/", http.MethodGet, elsewhere.URL), outward.ErrNotConfigured},
		"layers are elsewhere":         {to("/blobs/", http.MethodHead, elsewhere.URL), outward.ErrNotConfigured},
		"manifests are elsewhere, over TLS": {
			to("/manifests/", http.MethodGet, strings.Replace(elsewhere.URL, "http:", "https:", 1)), outward.ErrNotConfigured,
		},
		"the metadata service": {to("/manifests/", http.MethodGet, "http://169.254.169.254/latest/meta-data/"), artifact.ErrUnavailable},
		"tokens are elsewhere": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://thief.test:`+port+`/token",service="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}, outward.ErrNotConfigured},
		"an answer without an end": {func(w http.ResponseWriter, r *http.Request) bool {
			for strings.Contains(r.URL.Path, "/manifests/") && r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat(" ", 64<<10)); err != nil {
					return true
				}
			}
			return false
		}, outward.ErrTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			host, image, _ := registryWith(t, test.spoil)
			f := reach(t, &configv1.Registry{Host: host, Insecure: true, User: "puller", PasswordFile: file})
			_, err := f.Fetch(t.Context(), imageAt(host+"/shop/web", image))
			// To wait does not help where the configuration has to be changed.
			final := errors.Is(test.want, outward.ErrNotConfigured)
			if errors.Is(err, artifact.ErrRefused) != final || errors.Is(err, artifact.ErrUnavailable) == final || !errors.Is(err, test.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestARegistrysNameLeadsNowhereElse has a name server that answers well first and badly
// afterwards.
func TestARegistrysNameLeadsNowhereElse(t *testing.T) {
	host, image, _ := registryWith(t, nil)
	_, port, _ := strings.Cut(host, ":")
	dnstest.Use(t, map[string][]string{
		// One connection to find out that it speaks no TLS, and one to speak.
		"registry.localhost": {"127.0.0.1", "127.0.0.1", "169.254.169.254"},
		"registry.test":      {"127.0.0.1"},
	})
	for i, name := range []string{"registry.localhost", "registry.localhost", "registry.test"} {
		host := name + ":" + port
		f := reach(t, &configv1.Registry{Host: host, Insecure: true})
		_, err := f.Fetch(t.Context(), imageAt(host+"/shop/web", image))
		f.Close()
		if i == 0 && err != nil || i > 0 && (!errors.Is(err, artifact.ErrUnavailable) || !errors.Is(err, outward.ErrForbidden)) {
			t.Errorf("%d. %s: %v", i, name, err)
		}
	}
}
