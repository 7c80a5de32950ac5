package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/shaketest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// issuer is a provider with real keys on loopback.
type issuer struct {
	*httptest.Server
	keys atomic.Pointer[jose.JSONWebKeySet]
	// looked counts how often its keys were asked for.
	looked atomic.Int32
	// about changes what it says of itself, answer what it answers.
	about  func(map[string]any)
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newIssuer(t testing.TB, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	i := &issuer{}
	i.rotate(keys...)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.answer != nil && i.answer(w, r) {
			return
		}
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			about := map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token"}
			if i.about != nil {
				i.about(about)
			}
			_ = json.NewEncoder(w).Encode(about)
		case "/keys":
			i.looked.Add(1)
			_ = json.NewEncoder(w).Encode(i.keys.Load())
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) rotate(keys ...jose.JSONWebKey) {
	set := &jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	i.keys.Store(set)
}

func rsaJWK(t testing.TB, id string) jose.JSONWebKey {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: id, Algorithm: "RS256", Use: "sig"}
}

func ecJWK(t testing.TB, id string) jose.JSONWebKey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: id, Algorithm: "ES256", Use: "sig"}
}

type claims map[string]any

// now is when all tokens here are looked at.
var now = time.Date(2026, 11, 2, 10, 0, 0, 0, time.UTC)

func (i *issuer) claims(changes ...claims) claims {
	c := claims{
		"iss": i.URL, "aud": "shipwarden", "sub": "1234", "email": "anna@shop.example", "email_verified": true,
		"iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(), "groups": []string{"managers", "staff"},
	}
	for _, change := range changes {
		for k, v := range change {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
	}
	return c
}

func signJWT(t testing.TB, key jose.JSONWebKey, algorithm jose.SignatureAlgorithm, c claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func provider(t testing.TB, i *issuer, at *atomic.Int64, changes ...func(*configv1.Oidc)) *identity.Provider {
	t.Helper()
	config := &configv1.Oidc{Issuer: i.URL, Audience: "shipwarden"}
	for _, change := range changes {
		change(config)
	}
	p, err := identity.NewProvider(config, func() time.Time { return now.Add(time.Duration(at.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTokensOfTheProvider takes those that are in order, and none else (PD-A.4).
func TestTokensOfTheProvider(t *testing.T) {
	key, other := rsaJWK(t, "one"), rsaJWK(t, "one")
	curve := ecJWK(t, "two")
	i := newIssuer(t, key, curve)
	p := provider(t, i, &atomic.Int64{})
	raw := func(part any) string {
		b, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	secret := jose.JSONWebKey{Key: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), KeyID: "one"}
	good := signJWT(t, key, jose.RS256, i.claims())
	middle := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token string
		ok    bool
	}{
		"RSA":                      {good, true},
		"ECDSA":                    {signJWT(t, curve, jose.ES256, i.claims()), true},
		"for several, made out to": {signJWT(t, key, jose.RS256, i.claims(claims{"aud": []string{"x", "shipwarden"}, "azp": "shipwarden"})), true},
		"for several, to another":  {signJWT(t, key, jose.RS256, i.claims(claims{"aud": []string{"x", "shipwarden"}, "azp": "x"})), false},
		"for several, to nobody":   {signJWT(t, key, jose.RS256, i.claims(claims{"aud": []string{"x", "shipwarden"}})), false},
		"for another":              {signJWT(t, key, jose.RS256, i.claims(claims{"aud": "x"})), false},
		"for nobody":               {signJWT(t, key, jose.RS256, i.claims(claims{"aud": nil})), false},
		"of another issuer":        {signJWT(t, key, jose.RS256, i.claims(claims{"iss": "https://accounts.google.com"})), false},
		"of the issuer with /":     {signJWT(t, key, jose.RS256, i.claims(claims{"iss": i.URL + "/"})), false},
		"expired":                  {signJWT(t, key, jose.RS256, i.claims(claims{"exp": now.Unix()})), false},
		"without an end":           {signJWT(t, key, jose.RS256, i.claims(claims{"exp": nil})), false},
		"not valid yet":            {signJWT(t, key, jose.RS256, i.claims(claims{"nbf": now.Add(2 * time.Minute).Unix()})), false},
		"valid in a moment":        {signJWT(t, key, jose.RS256, i.claims(claims{"nbf": now.Add(30 * time.Second).Unix()})), true},
		"nbf of words":             {signJWT(t, key, jose.RS256, i.claims(claims{"nbf": "now"})), false},
		"issued in the future":     {signJWT(t, key, jose.RS256, i.claims(claims{"iat": now.Add(time.Hour).Unix()})), false},
		"issued at no time":        {signJWT(t, key, jose.RS256, i.claims(claims{"iat": nil})), false},
		"address not verified":     {signJWT(t, key, jose.RS256, i.claims(claims{"email_verified": false})), false},
		"address said verified":    {signJWT(t, key, jose.RS256, i.claims(claims{"email_verified": "true"})), false},
		"address of which nobody says that it is verified": {signJWT(t, key, jose.RS256, i.claims(claims{"email_verified": nil})), false},
		"verified by another claim":                        {signJWT(t, key, jose.RS256, i.claims(claims{"email_verified": nil, "Email_Verified": true})), false},
		"a name in another claim":                          {signJWT(t, key, jose.RS256, i.claims(claims{"email": nil, "EMAIL": "anna@shop.example"})), false},
		"several names":                                    {signJWT(t, key, jose.RS256, i.claims(claims{"email": []string{"anna@shop.example"}})), false},
		"by a key whose id is a path": {
			signJWT(t, jose.JSONWebKey{Key: other.Key, KeyID: "../../../../proc/self/environ"}, jose.RS256, i.claims()), false,
		},
		"by a key whose id is an address": {
			signJWT(t, jose.JSONWebKey{Key: other.Key, KeyID: "http://127.0.0.1:1/keys"}, jose.RS256, i.claims()), false,
		},
		"without a name":            {signJWT(t, key, jose.RS256, i.claims(claims{"email": nil})), false},
		"groups of no list":         {signJWT(t, key, jose.RS256, i.claims(claims{"groups": "managers"})), false},
		"by another key of the id":  {signJWT(t, other, jose.RS256, i.claims()), false},
		"RS512":                     {signJWT(t, jose.JSONWebKey{Key: key.Key, KeyID: "one"}, jose.RS512, i.claims()), false},
		"HS256 with the public key": {signJWT(t, secret, jose.HS256, i.claims()), false},
		"alg none":                  {raw(claims{"alg": "none"}) + "." + middle[1] + ".", false},
		"alg none and a signature":  {raw(claims{"alg": "none"}) + "." + middle[1] + "." + middle[2], false},
		"alg changed":               {raw(claims{"alg": "ES256", "kid": "one"}) + "." + middle[1] + "." + middle[2], false},
		"claims changed":            {middle[0] + "." + raw(i.claims(claims{"email": "ben@shop.example"})) + "." + middle[2], false},
		"no token at all":           {"a.b.c", false},
		"as long as a book":         {middle[0] + "." + strings.Repeat("A", 20<<10) + "." + middle[2], false},
	} {
		got, err := p.Verify(t.Context(), c.token)
		if c.ok && (err != nil || got.Names[0] != "anna@shop.example" || got.Method != identity.MethodOIDC || !got.Provided || len(got.Groups) != 2) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if !c.ok && (!errors.Is(err, identity.ErrUnknown) || len(got.Names) > 0) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if n := i.looked.Load(); n != 1 {
		t.Errorf("its keys were asked for %d times", n)
	}
}

// TestKeysRotate: a new key is found at once, one that was taken back goes within the
// hour, and whoever sends keys that nobody has does not make the provider look for each.
func TestKeysRotate(t *testing.T) {
	old, next, nobody := rsaJWK(t, "old"), rsaJWK(t, "next"), rsaJWK(t, "nobody")
	i := newIssuer(t, old)
	var at atomic.Int64
	p := provider(t, i, &at)
	verify := func(k jose.JSONWebKey) error {
		_, err := p.Verify(t.Context(), signJWT(t, k, jose.RS256, i.claims()))
		return err
	}
	if err := verify(old); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if verify(nobody) == nil {
			t.Fatal("a key that nobody has")
		}
	}
	if n := i.looked.Load(); n != 1 {
		t.Errorf("its keys were asked for %d times within a moment", n)
	}
	at.Add(int64(11 * time.Second))
	i.rotate(next)
	if err := verify(next); err != nil {
		t.Errorf("a new key: %v", err)
	}
	if verify(old) == nil {
		t.Error("a key that was taken back, after a look")
	}
	// Without anything to make it look, a key is believed for a while only.
	i.rotate(nobody)
	if err := verify(next); err != nil {
		t.Error(err)
	}
	at.Add(int64(16 * time.Minute))
	if verify(next) == nil {
		t.Error("a key that was taken back a quarter of an hour ago")
	}
}

// TestAProviderThatIsDownOrLies lets nobody in, and keeps nothing else from working.
func TestAProviderThatIsDownOrLies(t *testing.T) {
	key := rsaJWK(t, "one")
	elsewhere := newIssuer(t, key)
	for name, change := range map[string]func(i *issuer){
		"it is down": func(i *issuer) {
			i.answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
		},
		"it is another one":      func(i *issuer) { i.about = func(a map[string]any) { a["issuer"] = elsewhere.URL } },
		"its keys are elsewhere": func(i *issuer) { i.about = func(a map[string]any) { a["jwks_uri"] = elsewhere.URL + "/keys" } },
		"its keys are in a file": func(i *issuer) { i.about = func(a map[string]any) { a["jwks_uri"] = "file:///etc/passwd" } },
		"it has none":            func(i *issuer) { i.about = func(a map[string]any) { delete(a, "jwks_uri") } },
		"it sends one elsewhere": func(i *issuer) {
			i.answer = func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, elsewhere.URL+"/keys", http.StatusFound)
				return true
			}
		},
		"it never ends": func(i *issuer) {
			i.answer = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = w.Write(make([]byte, 2<<20)); return true }
		},
		"its keys are secrets": func(i *issuer) {
			i.keys.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: []byte("secret"), KeyID: "one"}}})
		},
		"its keys are for encryption only": func(i *issuer) {
			k := key.Public()
			k.Use = "enc"
			i.keys.Store(&jose.JSONWebKeySet{Keys: []jose.JSONWebKey{k}})
		},
	} {
		i := newIssuer(t, key)
		change(i)
		a := authenticator(t).WithProvider(provider(t, i, &atomic.Int64{}))
		if c, err := a.Authenticate(with("authorization", "Bearer "+signJWT(t, key, jose.RS256, i.claims()))); err == nil || len(c.Names) > 0 {
			t.Errorf("%s: %+v", name, c)
		}
		if c, err := a.Authenticate(with("authorization", "Bearer s3cret")); err != nil || c.Names[0] != "anna" {
			t.Errorf("%s: a static token: %v", name, err)
		}
	}
	if n := elsewhere.looked.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

func TestProvidersThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]*configv1.Oidc{
		"plain HTTP": {Issuer: "http://id.shop.example", Audience: "a"}, "no host": {Issuer: "https:", Audience: "a"},
		"a query": {Issuer: "https://id.shop.example?x=1", Audience: "a"}, "no certificates": {Issuer: "https://id.shop.example", Audience: "a", CaFile: "/dev/null"},
		"a password": {Issuer: "https://a:b@id.shop.example", Audience: "a"},
	} {
		if _, err := identity.NewProvider(c, time.Now); !errors.Is(err, identity.ErrProvider) || !strings.Contains(err.Error(), "oidc.") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if p, err := identity.NewProvider(nil, time.Now); p != nil || err != nil {
		t.Errorf("none: %v, %v", p, err)
	}
}

// FuzzToken: whatever comes as a token is answered, and nobody that the provider did not
// vouch for is anybody.
func FuzzToken(f *testing.F) {
	key := rsaJWK(f, "one")
	i := newIssuer(f, key)
	p := provider(f, i, &atomic.Int64{})
	good := signJWT(f, key, jose.RS256, i.claims())
	shaketest.Add(f, good+"x")
	shaketest.Add(f, "a.b.c")
	shaketest.Add(f, `eyJhbGciOiJub25lIn0.e30.`)
	f.Fuzz(func(t *testing.T, token string) {
		c, err := p.Verify(context.Background(), token)
		if err == nil && c.Names[0] != "anna@shop.example" {
			t.Errorf("%q is %+v", token, c)
		}
	})
}
