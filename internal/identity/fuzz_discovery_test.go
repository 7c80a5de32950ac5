package identity_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzDiscovery has a provider whose document of itself is anything, and whose keys are
// good. A token is believed only where the document is of that issuer and names its keys;
// and whatever it names, another host is never asked.
func FuzzDiscovery(f *testing.F) {
	const good = `{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","id_token_signing_alg_values_supported":["RS256"]}`
	shaketest.Add(f, good)
	for _, other := range []string{`"ISSUER/"`, `"OTHER"`, `null`, `""`, `["ISSUER"]`} {
		shaketest.Add(f, strings.Replace(good, `"ISSUER"`, other, 1))
	}
	for _, other := range []string{`"OTHER/keys"`, `"//OTHER/keys"`, `"ISSUER@OTHER/keys"`, `"file:///etc/passwd"`, `"/keys"`, `"ISSUER"`, `7`} {
		shaketest.Add(f, strings.Replace(good, `"ISSUER/keys"`, other, 1))
	}
	shaketest.Add(f, `{"Issuer":"ISSUER","JWKS_URI":"ISSUER/keys","jwks_uri":"OTHER/keys"}`)
	shaketest.Add(f, `<html>`)
	var mu sync.Mutex
	var about string
	key := rsaJWK(f, "one")
	asked := &atomic.Int32{}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	f.Cleanup(other.Close)
	i := newIssuer(f, key)
	written := func(document string) string {
		return strings.NewReplacer("ISSUER", i.URL, "OTHER", other.URL).Replace(document)
	}
	i.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(written(about)))
		return true
	}
	// Every look is a new one: what was fetched is too old by then.
	clock := &atomic.Int64{}
	p := provider(f, i, clock)
	token := signJWT(f, key, jose.RS256, i.claims(claims{"exp": now.Add(250 * 365 * 24 * time.Hour).Unix()}))
	f.Fuzz(func(t *testing.T, document string) {
		mu.Lock()
		about = document
		mu.Unlock()
		clock.Add(int64(20 * time.Minute))
		_, err := p.Verify(t.Context(), token)
		if asked.Load() > 0 {
			t.Fatalf("%q: another host was asked", document)
		}
		if document == good && err != nil {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		var said struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal([]byte(written(document)), &said); err != nil {
			t.Fatalf("%q was believed: %v", document, err)
		}
		keys, err := url.Parse(said.Keys)
		if err != nil || said.Issuer != i.URL || "http://"+keys.Host != i.URL || keys.Path != "/keys" {
			t.Errorf("%q was believed: %v", document, err)
		}
	})
}
