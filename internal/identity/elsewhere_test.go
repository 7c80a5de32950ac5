package identity_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/blackdice/shipwarden/internal/dnstest"
	"github.com/blackdice/shipwarden/internal/outward"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestAProvidersNameLeadsNowhereElse has a name server that answers well first and badly
// afterwards: what the provider said is believed for as long as it always is, and nobody else
// is asked in its place.
func TestAProvidersNameLeadsNowhereElse(t *testing.T) {
	key := rsaJWK(t, "one")
	i := newIssuer(t, key)
	i.Config.SetKeepAlivesEnabled(false)
	_, port, _ := strings.Cut(strings.TrimPrefix(i.URL, "http://"), ":")
	dnstest.Use(t, map[string][]string{
		// One connection for what it says of itself, and one for its keys.
		"id.localhost": {"127.0.0.1", "127.0.0.1", "169.254.169.254"}, "here.test": {"127.0.0.1"}, "meta.test": {"169.254.169.254"},
	})
	i.URL = "http://id.localhost:" + port
	var at atomic.Int64
	p := provider(t, i, &at)
	token := signJWT(t, key, jose.RS256, i.claims())
	if _, err := p.Verify(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	at.Add(int64(16 * time.Minute))
	if c, err := p.Verify(t.Context(), token); !errors.Is(err, outward.ErrForbidden) || len(c.Names) > 0 {
		t.Errorf("after its name has turned: %+v, %v", c, err)
	}
	if n := i.looked.Load(); n != 1 {
		t.Errorf("its keys were asked for %d times", n)
	}
	for _, name := range []string{"here.test", "meta.test"} {
		p := provider(t, i, &at, func(c *configv1.Oidc) { c.Issuer = "https://" + name + ":" + port })
		if c, err := p.Verify(t.Context(), token); !errors.Is(err, outward.ErrForbidden) || len(c.Names) > 0 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}
