package procedure_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoMayGoOnByWhatIsNotKept begins releases of every lane with evidence that is not there,
// and has lists that say nothing.
func TestWhoMayGoOnByWhatIsNotKept(t *testing.T) {
	full := &releasev1.UnkeptEvidence{Digest: proceduretest.Digest('c'), Name: "evidence-0", Reason: "the evidence store is full"}
	for _, test := range []struct {
		name   string
		lane   func(*releasev1.Request)
		unkept *releasev1.UnkeptEvidence
		want   string
	}{
		{"planned", func(*releasev1.Request) {}, full, "does not go on by evidence that is not kept"},
		{"emergency", proceduretest.Emergency, full, ""},
		{"rollback", proceduretest.Rollback, full, ""},
		{"without a reason", proceduretest.Emergency, &releasev1.UnkeptEvidence{Digest: proceduretest.Digest('c')}, "no digest or no reason"},
		{"without a digest", proceduretest.Emergency, &releasev1.UnkeptEvidence{Reason: "full"}, "no digest or no reason"},
	} {
		h := proceduretest.New(proceduretest.Request(test.lane))
		first := proceduretest.Requested(h.Asked, h.Now)
		first.Unkept = []*releasev1.UnkeptEvidence{test.unkept, test.unkept}
		err := h.Append("", first)
		switch {
		case test.want == "" && (err != nil || len(h.State().Unkept) != 1 || h.State().UnkeptReason(full.GetDigest()) != full.GetReason()):
			t.Errorf("%s: %v, not kept is %v", test.name, err, h.State().Unkept)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || h.State().Phase != procedure.PhaseNone):
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
