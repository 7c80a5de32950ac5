package show_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

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

// TestAStartIsNotPromisedWhileNobodyKnowsTheEnd: a release that is paused does not start at the
// time at which all else is over.
func TestAStartIsNotPromisedWhileNobodyKnowsTheEnd(t *testing.T) {
	at := timestamppb.New(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))
	freeze := &releasev1.HoldReason{Rule: "freeze", Until: at}
	for want, holds := range map[string][]*releasev1.HoldReason{
		"earliest feasible start: 2026-12-01T12:00:00Z\n":                                           {freeze},
		"earliest feasible start: 2026-12-01T12:00:00Z, if what has no known end is over by then\n": {freeze, {Rule: "paused", SetBy: "erin"}},
	} {
		var out strings.Builder
		if err := show.Outlook(&out, &approvalv1.ExplainResponse{Outlook: &approvalv1.Outlook{Holds: holds, EarliestStart: at}}); err != nil || !strings.HasSuffix(out.String(), want) {
			t.Errorf("%v\n%swant %q", err, &out, want)
		}
	}
}
