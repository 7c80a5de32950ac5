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

// TestWhatWasNotKeptMayComeAgain, once, and is kept from then on. It is no evidence that is
// new, and does not count as such.
func TestWhatWasNotKeptMayComeAgain(t *testing.T) {
	lost := &releasev1.UnkeptEvidence{Digest: proceduretest.Digest('c'), Name: "evidence-0", Reason: "no answer in time"}
	other := &releasev1.UnkeptEvidence{Digest: proceduretest.Digest('d'), Name: "evidence-1", Reason: "no answer in time"}
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	first := proceduretest.Requested(h.Asked, h.Now)
	first.Unkept = []*releasev1.UnkeptEvidence{lost, other}
	first.GetRequested().Evidence = []*releasev1.EvidenceRef{{Digest: lost.GetDigest(), Size: 512}, {Digest: other.GetDigest(), Size: 512}}
	if err := h.Append("", first); err != nil {
		t.Fatal(err)
	}
	before := h.State()
	if err := h.Append("", proceduretest.Evidence('c')); err != nil {
		t.Fatal(err)
	}
	if s := h.State(); len(s.Unkept) != 1 || s.UnkeptReason(lost.GetDigest()) != "" || s.UnkeptReason(other.GetDigest()) == "" ||
		len(s.Evidence()) != 2 || len(s.LateEvidence) != 0 || s.Phase != procedure.PhaseGates {
		t.Errorf("phase %s, not kept is %v of %v", s.Phase, s.Unkept, s.Evidence())
	}
	if len(before.Unkept) != 2 {
		t.Errorf("the state before it changed: %v", before.Unkept)
	}
	twice := proceduretest.Evidence('d')
	twice.GetEvidenceAdded().Evidence = append(twice.GetEvidenceAdded().Evidence, twice.GetEvidenceAdded().GetEvidence()[0])
	lies := proceduretest.Evidence('d')
	lies.Unkept = []*releasev1.UnkeptEvidence{other}
	for name, event := range map[string]*releasev1.Event{"again": proceduretest.Evidence('c'), "twice at once": twice, "not kept by its own word": lies} {
		if err := h.Append("", event); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := h.State(); len(s.Unkept) != 1 {
		t.Errorf("what was refused changed the state: %v", s.Unkept)
	}
}
