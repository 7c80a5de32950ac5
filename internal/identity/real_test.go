package identity_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/identity/providertest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestARealProvider (PD-A.4): the tokens of a provider that we did not write, in a process
// of its own, and what somebody could make of them.
func TestARealProvider(t *testing.T) {
	program := providertest.Build(t)
	ours, lookalike := providertest.Start(t, program), providertest.Start(t, program)
	ours.Tell(t, "person anna@shop.example managers,staff")
	ours.Tell(t, "person lone@shop.example")
	ours.Tell(t, "unverified mallory@shop.example")
	lookalike.Tell(t, "person anna@shop.example managers,staff")

	var ahead atomic.Int64
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	verifier := func(change func(*configv1.Oidc)) *identity.Provider {
		c := &configv1.Oidc{Issuer: ours.Issuer, Audience: providertest.Client}
		if change != nil {
			change(c)
		}
		p, err := identity.NewProvider(c, clock)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := verifier(nil)
	took := func(p *identity.Provider, token string) (identity.Caller, bool) {
		t.Helper()
		c, err := p.Verify(t.Context(), token)
		if err != nil && !errors.Is(err, identity.ErrUnknown) && !errors.Is(err, identity.ErrProvider) {
			t.Errorf("it says %v", err)
		}
		return c, err == nil
	}
	login := ours.Login(t, providertest.Client, "anna@shop.example")
	if c, ok := took(p, login.ID); !ok || !slices.Equal(c.Names, []string{"anna@shop.example"}) || !slices.Equal(c.Groups, []string{"managers", "staff"}) || !c.Provided {
		t.Fatalf("anna is %+v, %v", c, ok)
	}
	if c, ok := took(p, ours.Login(t, providertest.Client, "lone@shop.example").ID); !ok || len(c.Groups) > 0 {
		t.Errorf("somebody in no group is %+v, %v", c, ok)
	}
	for name, token := range map[string]string{
		"of a provider that looks the same":      lookalike.Login(t, providertest.Client, "anna@shop.example").ID,
		"made out to another client":             ours.Login(t, providertest.Other, "anna@shop.example").ID,
		"of somebody whose address is unchecked": ours.Login(t, providertest.Client, "mallory@shop.example").ID,
		"an access token":                        login.Access,
		"a refresh token":                        login.Refresh,
		"of a service":                           ours.Service(t),
	} {
		if c, ok := took(p, token); ok {
			t.Errorf("a token %s is taken: %+v", name, c)
		}
	}
	// Where services are named, one is itself and never somebody in a group.
	bySubject := verifier(func(c *configv1.Oidc) { c.NameClaim = "sub" })
	if c, ok := took(bySubject, ours.Service(t)); !ok || !slices.Equal(c.Names, []string{"sid1"}) || len(c.Groups) > 0 {
		t.Errorf("a service is %+v, %v", c, ok)
	}
	for name, p := range map[string]*identity.Provider{
		"of the issuer with a slash": verifier(func(c *configv1.Oidc) { c.Issuer += "/" }),
		"of localhost":               verifier(func(c *configv1.Oidc) { c.Issuer = strings.Replace(c.GetIssuer(), "127.0.0.1", "localhost", 1) }),
		"for the audience in capitals": verifier(func(c *configv1.Oidc) {
			c.Audience = strings.ToUpper(c.GetAudience())
		}),
		"signed by RSA where only curves are": verifier(func(c *configv1.Oidc) { c.Algorithms = []string{"ES256"} }),
	} {
		if c, ok := took(p, login.ID); ok {
			t.Errorf("a token %s is taken: %+v", name, c)
		}
	}
	for name, forged := range forgeries(t, login.ID, ours.Keys(t)) {
		if c, ok := took(p, forged); ok {
			t.Errorf("%s: taken for %+v", name, c)
		}
	}
	login = ours.Login(t, providertest.Client, "anna@shop.example") // of now, for what is asked of its end
	for name, c := range map[string]struct {
		ahead time.Duration
		ok    bool
	}{
		"our clock is half a minute behind":   {-30 * time.Second, true},
		"our clock is two minutes behind":     {-2 * time.Minute, false},
		"a moment before it ends":             {time.Hour - 30*time.Second, true},
		"when it ends":                        {time.Hour + time.Second, false},
		"a day later":                         {24 * time.Hour, false},
		"back from a clock that went forward": {0, true},
	} {
		ahead.Store(int64(c.ahead))
		if _, ok := took(verifier(nil), login.ID); ok != c.ok {
			t.Errorf("%s: taken %v", name, ok)
		}
	}
	ahead.Store(0)
}

// forgeries are what somebody can make of a good token and the provider's public keys.
func forgeries(t *testing.T, token string, keys []byte) map[string]string {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(keys, &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("%v: %s", err, keys)
	}
	public, err := x509.MarshalPKIXPublicKey(set.Keys[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(token, ".")
	claims, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	raw := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	hmac := func(secret []byte) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: set.Keys[0].KeyID}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		out, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	own := rsaJWK(t, set.Keys[0].KeyID)
	mine := own.Public()
	embedded, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: own}, (&jose.SignerOptions{EmbedJWK: true}))
	if err != nil {
		t.Fatal(err)
	}
	brought, err := embedded.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	bringing, err := brought.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	kid := set.Keys[0].KeyID
	other := strings.Replace(string(claims), "anna@shop.example", "ben@shop.example", 1)
	out := map[string]string{
		"alg none":                        raw(header{"alg": "none", "kid": kid}) + "." + part[1] + ".",
		"alg None":                        raw(header{"alg": "None", "kid": kid}) + "." + part[1] + "." + part[2],
		"HS256 with the public key (PEM)": hmac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"HS256 with the public key (DER)": hmac(public),
		"RS256 that says ES256":           raw(header{"alg": "ES256", "kid": kid}) + "." + part[1] + "." + part[2],
		"other claims":                    part[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(other)) + "." + part[2],
		"a key id of a file":              raw(header{"alg": "RS256", "kid": "../../../../dev/null"}) + "." + part[1] + "." + part[2],
		"a key id of a query":             raw(header{"alg": "RS256", "kid": "' OR 1=1 --"}) + "." + part[1] + "." + part[2],
		"a key of its own under the id":   signJWT(t, own, jose.RS256, decoded(t, claims)),
		"a key that it brings along":      bringing,
		"keys from an address":            raw(header{"alg": "RS256", "kid": "x", "jku": "http://127.0.0.1:1/keys"}) + "." + part[1] + "." + part[2],
		"cut":                             part[0] + "." + part[1] + "." + part[2][:len(part[2])-4],
		"without a signature":             part[0] + "." + part[1] + ".",
	}
	if mine.KeyID != kid {
		t.Fatalf("its key is %q", mine.KeyID)
	}
	return out
}

// header is that of a token.
type header = map[string]any

func decoded(t *testing.T, body []byte) claims {
	t.Helper()
	c := claims{}
	if err := json.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestARealProviderRotatesItsKeys while people are logged in: a new key is found when the
// first token comes that it signed, of another kind too, and one that was taken back is
// believed for a quarter of an hour at most.
func TestARealProviderRotatesItsKeys(t *testing.T) {
	real := providertest.Start(t, providertest.Build(t))
	real.Tell(t, "person anna@shop.example managers")
	real.Tell(t, "life 24h")
	var ahead atomic.Int64
	p, err := identity.NewProvider(&configv1.Oidc{Issuer: real.Issuer, Audience: providertest.Client},
		func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
	if err != nil {
		t.Fatal(err)
	}
	ok := func(token string) bool {
		_, err := p.Verify(t.Context(), token)
		return err == nil
	}
	login := func() string { return real.Login(t, providertest.Client, "anna@shop.example").ID }
	first := login()
	if !ok(first) {
		t.Fatal("the first key")
	}
	real.Tell(t, "key ES256")
	curve := login()
	if header := strings.Split(curve, ".")[0]; header == strings.Split(first, ".")[0] {
		t.Fatal("the provider signs as before")
	}
	if ahead.Add(int64(11 * time.Second)); !ok(curve) || !ok(first) {
		t.Error("while both keys are shown, tokens of both are good")
	}
	real.Tell(t, "forget")
	if ahead.Add(int64(14 * time.Minute)); !ok(first) {
		t.Error("within a quarter of an hour nobody has looked again")
	}
	if ahead.Add(int64(2 * time.Minute)); ok(first) {
		t.Error("the key was taken back, and is believed")
	}
	if !ok(curve) {
		t.Error("the key that stayed")
	}
	// A kind that is not taken is not taken for being the provider's.
	real.Tell(t, "key RS512")
	if ahead.Add(int64(11 * time.Second)); ok(login()) {
		t.Error("RS512 was not configured")
	}
}
