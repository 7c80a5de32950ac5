package proceduretest_test

import (
	"crypto/sha256"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestToReachesEveryPhase(t *testing.T) {
	for name, request := range map[string]*releasev1.Request{
		"planned":   proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"us1", "us2"})),
		"emergency": proceduretest.Request(proceduretest.Emergency),
	} {
		for _, phase := range procedure.Phases() {
			t.Run(name+"/"+phase.String(), func(t *testing.T) {
				h := proceduretest.New(request)
				h.To(t, phase)
				if got := h.State().Phase; got != phase {
					t.Errorf("phase %s, want %s", got, phase)
				}
				if len(h.Rejected) > 0 {
					t.Errorf("%d events do not count", len(h.Rejected))
				}
			})
		}
	}
}

func TestToPassesDetoursAndComesToAnEnd(t *testing.T) {
	for phase, want := range map[procedure.Phase]releasev1.Outcome{
		procedure.PhaseHeld:           releasev1.Outcome_OUTCOME_SUCCEEDED,
		procedure.PhaseVerifyRollback: releasev1.Outcome_OUTCOME_ROLLED_BACK,
		procedure.PhaseEscalated:      releasev1.Outcome_OUTCOME_ROLLED_BACK,
	} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, phase)
		h.To(t, procedure.PhaseClosed)
		if got := h.State().Outcome; got != want {
			t.Errorf("by %s to %s, want %s", phase, got, want)
		}
	}
}

func TestEntriesAreChainedByTheBytesThatWouldBeStored(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseClosed)
	for i, e := range h.Entries {
		if e.Digest != sha256.Sum256(proceduretest.Body(e.Event)) {
			t.Errorf("entry %d: the digest is not that of its bytes", i)
		}
		if i > 0 && e.Event.GetPrevious().GetSequence() != h.Entries[i-1].Sequence {
			t.Errorf("entry %d does not name the one before it", i)
		}
	}
}

func TestHistoriesShareAStream(t *testing.T) {
	s := proceduretest.NewStream()
	one, two := s.New(proceduretest.Request()), s.New(proceduretest.Request(proceduretest.Key("ci-4712")))
	one.To(t, procedure.PhaseApprove)
	two.To(t, procedure.PhaseApprove)
	one.To(t, procedure.PhaseClosed)
	if first, last := two.Entries[0].Sequence, one.Entries[len(one.Entries)-1].Sequence; first != 6 || last != s.Last {
		t.Errorf("second release starts at %d, first ends at %d of %d", first, last, s.Last)
	}
}

func TestACloneGoesOnByItself(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	before, c := len(h.Entries), h.Clone()
	c.Do(t, "anna", proceduretest.Reject())
	h.To(t, procedure.PhaseNotify)
	if len(c.Entries) != before+1 || c.State().Outcome != releasev1.Outcome_OUTCOME_REJECTED || h.State().Outcome != 0 {
		t.Errorf("the clone has %d events and ended %s, the original %s", len(c.Entries), c.State().Outcome, h.State().Outcome)
	}
}
