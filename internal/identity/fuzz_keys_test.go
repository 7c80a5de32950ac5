package identity_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzKeys has a provider that says anything of itself and of its keys: nobody is anybody
// by a token that was signed with a key which is not among them.
func FuzzKeys(f *testing.F) {
	theirs, ours := rsaJWK(f, "one"), rsaJWK(f, "two")
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{theirs.Public()}})
	if err != nil {
		f.Fatal(err)
	}
	shaketest.Add(f, `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`, set)
	shaketest.Add(f, `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`, []byte(`{"keys":[{"kty":"oct","kid":"two","k":"AAAA"},{"kty":"EC","crv":"P-256","x":"","y":""},null]}`))
	shaketest.Add(f, `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","id_token_signing_alg_values_supported":["none"]}`, []byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQ","kid":"two"}]}`))
	shaketest.Add(f, `{"issuer":"ISSUER","jwks_uri":"http://[::1","x":[]}`, []byte(`{"keys":`))
	shaketest.Add(f, `{`, []byte(``))
	var mu sync.Mutex
	var about string
	var keys []byte
	i := newIssuer(f)
	i.answer = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			_, _ = w.Write([]byte(strings.ReplaceAll(about, "ISSUER", i.URL)))
			return true
		}
		_, _ = w.Write(keys)
		return true
	}
	// Every look is a new one: what was fetched is too old by then.
	clock := &atomic.Int64{}
	p := provider(f, i, clock)
	token := signJWT(f, ours, jose.RS256, i.claims(claims{"exp": now.Add(250 * 365 * 24 * time.Hour).Unix()}))
	f.Fuzz(func(t *testing.T, document string, set []byte) {
		mu.Lock()
		about, keys = document, set
		mu.Unlock()
		clock.Add(int64(20 * time.Minute))
		if c, err := p.Verify(t.Context(), token); err == nil {
			t.Errorf("%q with the keys %q is %+v", document, set, c)
		}
	})
}
