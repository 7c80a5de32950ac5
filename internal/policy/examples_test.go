package policy_test

import (
	"os"
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestTheExamplesTellOfExceptionsOfFreezesAndOfApprovals: without a channel that lists it,
// whoever set a freeze, or is to approve, is told nothing, and people begin with these
// documents.
func TestTheExamplesTellOfExceptionsOfFreezesAndOfApprovals(t *testing.T) {
	for _, name := range []string{exampleFile, "../../examples/procedure.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		document, err := policy.Parse(data, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(document.GetFreezes()) == 0 || !slices.ContainsFunc(document.GetChannels(), func(c *policyv1.Channel) bool {
			return slices.Contains(c.GetOccasions(), releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN)
		}) {
			t.Errorf("%s has no freeze, or no channel that tells of an exception", name)
		}
		if !slices.ContainsFunc(document.GetChannels(), func(c *policyv1.Channel) bool {
			return slices.Contains(c.GetOccasions(), releasev1.Occasion_OCCASION_APPROVAL_WANTED)
		}) {
			t.Errorf("%s has no channel that tells whose approvals are wanted", name)
		}
	}
}
