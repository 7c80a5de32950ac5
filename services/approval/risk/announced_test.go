package risk_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestApprovalsAreAnnouncedWhereTheDocumentSaysSo: whoever is to approve is told by a channel
// that lists it; which documents say so is tested where they are read.
func TestApprovalsAreAnnouncedWhereTheDocumentSaysSo(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[1].Occasions = []releasev1.Occasion{releasev1.Occasion_OCCASION_APPROVAL_WANTED}
	})
	s := judge(t, r, r.Reach(t, procedure.PhaseRisk), time.Now())
	if s.Phase != procedure.PhaseApprove || !s.Announced || len(s.Wanted) != 1 || s.Wanted[0].Occasion != releasev1.Occasion_OCCASION_APPROVAL_WANTED {
		t.Errorf("phase %s, announced %v, wanted %v", s.Phase, s.Announced, s.Wanted)
	}
}
