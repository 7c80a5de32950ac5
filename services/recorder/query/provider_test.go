package query_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/identity/providertest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder/query"
)

// TestReadersOfARealProvider (PD-8.3, PD-A.4): administrators and auditors are those whom
// the provider has in their groups, and nobody else whom it knows.
func TestReadersOfARealProvider(t *testing.T) {
	real := providertest.Start(t, providertest.Build(t))
	provider, err := identity.NewProvider(&configv1.Oidc{Issuer: real.Issuer, Audience: providertest.Client}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	access, err := query.NewAccess(tokens("s3cret"), false, query.Provided{Provider: provider, Groups: []string{"admins", "auditors"}})
	if err != nil {
		t.Fatal(err)
	}
	bearer := func(token string) context.Context {
		return metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token))
	}
	real.Tell(t, "person audra@shop.example staff,auditors")
	real.Tell(t, "person ada@shop.example admins")
	real.Tell(t, "person sam@shop.example staff,auditor,admins-emea")
	real.Tell(t, "person lone@shop.example")
	login := func(client, person string) string { return real.Login(t, client, person+"@shop.example").ID }
	audra := login(providertest.Client, "audra")
	for name, c := range map[string]struct {
		token string
		code  codes.Code
		log   string
	}{
		"an auditor":               {audra, codes.OK, "reader=audra@shop.example identity=oidc"},
		"an administrator":         {login(providertest.Client, "ada"), codes.OK, "reader=ada@shop.example identity=oidc"},
		"a static token":           {"s3cret", codes.OK, "identity=token"},
		"in groups named alike":    {login(providertest.Client, "sam"), codes.PermissionDenied, "record not read"},
		"in no group":              {login(providertest.Client, "lone"), codes.PermissionDenied, "record not read"},
		"an auditor of the wiki":   {login(providertest.Other, "audra"), codes.Unauthenticated, ""},
		"a token that was changed": {audra[:len(audra)-4] + "AAAA", codes.Unauthenticated, ""},
		"a service":                {real.Service(t), codes.Unauthenticated, ""},
	} {
		log, err := ask(bearer(c.token), t, access)
		if status.Code(err) != c.code || !strings.Contains(log, c.log) || strings.Contains(log, c.token) {
			t.Errorf("%s: %v, and the log says %q", name, err, log)
		}
	}
	// Two tokens in one call are none, whoever they are.
	both := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+audra, "authorization", "Bearer s3cret"))
	if _, err := ask(both, t, access); status.Code(err) != codes.Unauthenticated {
		t.Errorf("two tokens: %v", err)
	}
	real.Tell(t, "person audra@shop.example staff")
	if _, err := ask(bearer(login(providertest.Client, "audra")), t, access); status.Code(err) != codes.PermissionDenied {
		t.Errorf("no auditor any more: %v", err)
	}
}
