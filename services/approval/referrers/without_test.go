package referrers_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/approval/referrers"
	"github.com/blackdice/shipwarden/services/approval/referrers/referrerstest"
)

// TestATagThatIsTheImageItselfIsNoStatement has a registry as GitLab's is: without the API,
// and with every name sha256-… taken for the digest sha256:….
func TestATagThatIsTheImageItselfIsNoStatement(t *testing.T) {
	asked := false
	host := serve(t, false, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/sha256-") {
			asked = true
			r.URL.Path = strings.Replace(r.URL.Path, "/sha256-", "/sha256:", 1)
		}
		return false
	})
	a, _ := image(t, host)
	if found, err := finder(t, host).Find(t.Context(), a, nil); err != nil || len(found) != 0 || !asked {
		t.Errorf("%q, %v; asked for the tag: %v", found, err, asked)
	}
}

// TestAPageForPeopleIsARegistryWithoutTheAPI: the list is under its tag, and where what is
// there cannot be read either, nobody can tell.
func TestAPageForPeopleIsARegistryWithoutTheAPI(t *testing.T) {
	page := func(media, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", media)
			_, _ = w.Write([]byte(body))
		}
	}
	html := page("text/html; charset=utf-8", "<!DOCTYPE html><title>Welcome</title>")
	for _, test := range []struct {
		name      string
		api, tag  func(http.ResponseWriter)
		statement bool
		found     int
		want      error
	}{
		{"with a statement", html, nil, true, 1, nil},
		{"without one", html, nil, false, 0, nil},
		{"of no type", page("", "<html>"), nil, true, 1, nil},
		{"that is JSON", page("application/json", `{"path":"/v2/shop/web/referrers"}`), nil, true, 1, nil},
		{"for everything", html, html, true, 0, referrers.ErrUnreachable},
		{"where the tag cannot be read", html, func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }, true, 0, referrers.ErrUnreachable},
		{"that is a list under another type", page("application/json", `{"schemaVersion":2,"manifests":[]}`), nil, true, 0, referrers.ErrUnreachable},
		{"that says it is a list", page(indexType, "<html>"), nil, true, 0, referrers.ErrUnreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			shut := false
			host := serve(t, false, func(w http.ResponseWriter, r *http.Request) bool {
				switch {
				case shut && strings.Contains(r.URL.Path, "/referrers/"):
					test.api(w)
				case shut && test.tag != nil && strings.Contains(r.URL.Path, "/manifests/sha256-"):
					test.tag(w)
				default:
					return false
				}
				return true
			})
			a, subject := image(t, host)
			if test.statement {
				referrerstest.Attach(t, a.GetLocation(), subject, dsse, []byte("an envelope"))
			}
			shut = true // Whoever attaches asks for the API as well.
			found, err := finder(t, host).Find(t.Context(), a, nil)
			if len(found) != test.found || !errors.Is(err, test.want) {
				t.Errorf("%q, %v", found, err)
			}
		})
	}
}
