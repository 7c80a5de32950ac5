package show_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/show"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnOutlookOfWhatIsOverSaysWhatBecameOfIt, and of what is not says nothing of it.
func TestAnOutlookOfWhatIsOverSaysWhatBecameOfIt(t *testing.T) {
	var over, under strings.Builder
	if err := show.Outlook(&over, &approvalv1.ExplainResponse{Release: "shop-a", Outcome: releasev1.Outcome_OUTCOME_REJECTED, Reason: "no way back"}); err != nil {
		t.Fatal(err)
	}
	if err := show.Outlook(&under, &approvalv1.ExplainResponse{Release: "shop-a"}); err != nil {
		t.Fatal(err)
	}
	if text := over.String(); !strings.Contains(text, "rejected") || !strings.Contains(text, "no way back") || strings.Contains(under.String(), "Outcome") {
		t.Errorf("it says\n%s\n%s", text, under.String())
	}
}
