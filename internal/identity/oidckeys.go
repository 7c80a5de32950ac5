package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// errNoKey says that no key of those that were fetched has the token's id.
var errNoKey = errors.New("no key of the provider has signed it")

// maxKeys bounds how many keys of a provider are looked at.
const maxKeys = 64

// keySet are the public keys of a provider as they were at one moment: a key that it has
// taken back goes with the set.
type keySet []jose.JSONWebKey

// fetch gets the provider's keys, in one request.
func (p *Provider) fetch(ctx context.Context, uri string) (keySet, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: its keys: %w", ErrProvider, err)
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: its keys: %w", ErrProvider, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: its keys: %s, %w", ErrProvider, answer.Status, err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil || len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("%w: its keys: %d of them, %w", ErrProvider, len(set.Keys), err)
	}
	var public keySet
	for _, k := range set.Keys {
		// What signs is public: a secret in here would make everybody a signer.
		if k.IsPublic() && k.Valid() && k.Use != "enc" {
			public = append(public, k)
		}
	}
	return public, nil
}

// VerifySignature implements oidc.KeySet. Which algorithms are taken, the verifier has
// checked; a key is used for the algorithm that it names, where it names one.
func (s keySet) VerifySignature(_ context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSigned(token, algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, fmt.Errorf("it is not signed once: %w", err)
	}
	header := jws.Signatures[0].Header
	known := false
	for i := range s {
		k := &s[i]
		if (header.KeyID != "" && k.KeyID != header.KeyID) || (k.Algorithm != "" && k.Algorithm != header.Algorithm) {
			continue
		}
		known = known || header.KeyID != ""
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	if known {
		return nil, errors.New("its signature does not hold")
	}
	return nil, errNoKey
}

// algorithms are all that can be configured: those with public keys.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}
