package policy_test

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Whoever chooses their own name at a provider is not taken for somebody whose name looks
// like it (a long s for an s, the Kelvin sign for a K, spaces around it).
func TestWhoCallsIsNobodyElseForLookingLikeThem(t *testing.T) {
	index := policy.NewIndex(&policyv1.Procedure{People: []*policyv1.Person{
		{Id: "ross"}, {Id: "mike", Aliases: []string{"mike@shop.example", "Ümit"}},
	}})
	for name, want := range map[string]string{
		"ross": "ross", "ROSS": "ross", "Mike@Shop.Example": "mike", "Ümit": "mike",
		"ro\u017fs": "", " ross ": "", "ross\u200b": "", "mi\u212Ae@shop.example": "", "ümit": "", "": "",
	} {
		if got := index.Caller(name).GetId(); got != want {
			t.Errorf("%q calls as %q, want %q", name, got, want)
		}
	}
	if index.Person("ro\u017fs").GetId() != "ross" {
		t.Error("in what is written down, look-alikes are two people")
	}
}
