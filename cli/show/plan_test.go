package show_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/show"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnApproverSeesWhatAPlanWouldChange, what is not shown of it, what nobody knows, and what
// a command says of itself.
func TestAnApproverSeesWhatAPlanWouldChange(t *testing.T) {
	var out strings.Builder
	err := show.Decide(&out, &approvalv1.Pending{
		Artifacts: []*releasev1.PinnedArtifact{
			{Name: "plan", Plan: &releasev1.PlanChanges{Create: 30, Delete: 1, Changes: []*releasev1.ResourceChange{
				{Action: releasev1.ResourceChange_ACTION_DELETE, Address: "shop_db.\x1b[2Jmain", Attributes: ""},
			}}},
			{Name: "json", Plan: &releasev1.PlanChanges{Update: 1, Attributes: true, Changes: []*releasev1.ResourceChange{
				{Action: releasev1.ResourceChange_ACTION_UPDATE, Address: "shop_host.web", Attributes: "size, tags"},
			}}},
		},
		Previews: []*releasev1.TargetPreview{{Target: "eu1", DiffDigest: "sha256:aa"}},
	})
	for _, want := range []string{
		"30 to create, 0 to update, 1 to DESTROY", "and others: 1 of 31 are shown", "update shop_host.web: size, tags\n", "its own tool says what would change",
	} {
		if err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("error %v, without %q:\n%s", err, want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") || strings.Count(out.String(), "which attributes change is not known") != 1 {
		t.Errorf("it says\n%q", out.String())
	}
}
