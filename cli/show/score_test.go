package show_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/cli/show"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAnOutlookSaysWhatWeighs, fact by fact, and nothing of it where nothing is weighed.
func TestAnOutlookSaysWhatWeighs(t *testing.T) {
	var heavy, none strings.Builder
	score := &releasev1.RiskScore{Score: 17, Level: 15, Inputs: []*releasev1.RiskInput{{Fact: "tier1", Count: 1, Points: 10}, {Fact: "off_hours", Count: 1, Points: 7}}}
	if err := show.Outlook(&heavy, &approvalv1.ExplainResponse{Release: "shop-a", Outlook: &approvalv1.Outlook{Score: score}}); err != nil {
		t.Fatal(err)
	}
	if err := show.Outlook(&none, &approvalv1.ExplainResponse{Release: "shop-a", Outlook: &approvalv1.Outlook{}}); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(heavy.String()), " ")
	if !strings.Contains(text, "Risk, level 15") || !strings.Contains(text, "tier1 1 10 off_hours 1 7 together - 17") || strings.Contains(none.String(), "Risk") {
		t.Errorf("it says\n%s\n%s", heavy.String(), none.String())
	}
}
