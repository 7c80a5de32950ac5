package procedure_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhichTargetsWereBegun: what was claimed and skipped never ran anywhere, and
// whatever else came of a claim may have run.
func TestWhichTargetsWereBegun(t *testing.T) {
	const done, failed, unknown, skipped = releasev1.TargetResult_STATUS_DONE, releasev1.TargetResult_STATUS_FAILED,
		releasev1.TargetResult_STATUS_UNKNOWN, releasev1.TargetResult_STATUS_SKIPPED
	for _, test := range []struct {
		name     string
		eu1, eu2 releasev1.TargetResult_Status
		want     []string
	}{
		{"done", done, done, []string{"eu1", "eu2"}},
		{"failed", done, failed, []string{"eu1", "eu2"}},
		{"unknown", failed, unknown, []string{"eu1", "eu2"}},
		{"one skipped", failed, skipped, []string{"eu1"}},
		{"all skipped", skipped, skipped, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1", "eu2"})))
			h.To(t, procedure.PhaseExecuting)
			h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": test.eu1, "eu2": test.eu2}))
			if got := h.State().Begun; !slices.Equal(got, test.want) {
				t.Errorf("begun on %v, want %v", got, test.want)
			}
			h.To(t, procedure.PhaseRelease)
			if got := h.State().Begun; !slices.Equal(got, test.want) {
				t.Errorf("begun on %v at the end, want %v", got, test.want)
			}
		})
	}
}

// TestWhatOneAttemptBeganStaysBegun: that a later one skipped it does not unmake it.
func TestWhatOneAttemptBeganStaysBegun(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseEscalated)
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
	h.To(t, procedure.PhaseExecuting)
	h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_SKIPPED}))
	if got := h.State().Begun; !slices.Equal(got, []string{"eu1"}) {
		t.Errorf("begun on %v", got)
	}
}

// TestOnlyWhatHasNotBegunStartsAnew: an order that says otherwise does not count, and what
// has begun does not become a start by it.
func TestOnlyWhatHasNotBegunStartsAnew(t *testing.T) {
	for _, test := range []struct {
		status releasev1.TargetResult_Status
		action releasev1.Intervened_Action
		counts bool
	}{
		{releasev1.TargetResult_STATUS_SKIPPED, releasev1.Intervened_ACTION_RETRY, true},
		{releasev1.TargetResult_STATUS_SKIPPED, releasev1.Intervened_ACTION_ACCEPT, false},
		{releasev1.TargetResult_STATUS_FAILED, releasev1.Intervened_ACTION_RETRY, false},
	} {
		h := proceduretest.New(proceduretest.Request(proceduretest.Irreversible))
		h.To(t, procedure.PhaseExecuting)
		h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": test.status}))
		h.To(t, procedure.PhaseEscalated)
		e := procedure.DecideIntervention(h.State(), test.action, "again")
		if e.GetIntervened().GetAnew() != test.counts {
			t.Errorf("%s, %s: anew %t", test.status, test.action, e.GetIntervened().GetAnew())
		}
		e.GetIntervened().Anew = true
		if err := h.Append("eve", e); (err == nil) != test.counts || h.State().Anew != test.counts {
			t.Errorf("%s, %s: %v, anew %t", test.status, test.action, err, h.State().Anew)
		}
	}
}

// TestSinceWhenAReleaseHasBegun: since the claim by which it did, however many follow; and
// what the end of step 1 says is kept for whoever judges its evidence again then.
func TestSinceWhenAReleaseHasBegun(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"eu2"})))
	h.To(t, procedure.PhaseGates)
	confirmed := proceduretest.Gates(h.State())
	confirmed.GetGatesConfirmed().Found = []*releasev1.EvidenceRef{{Digest: proceduretest.Digest('f')}}
	h.Do(t, "", confirmed)
	h.To(t, procedure.PhaseExecuting)
	began := h.State().Began
	if !began.Equal(h.Now) {
		t.Errorf("began %s, claimed %s", began, h.Now)
	}
	// Another executor takes over, from whom nobody knows what the first one had begun.
	h.Advance(time.Minute)
	h.Do(t, "", proceduretest.Claim(h.State(), "executor-2", h.Now))
	if s := h.State(); s.Claim.Claimer != "executor-2" || !s.Began.Equal(began) {
		t.Errorf("taken over by %s, began %s, and it was %s", s.Claim.Claimer, s.Began, began)
	}
	h.To(t, procedure.PhaseVerify)
	h.To(t, procedure.PhaseExecuting)
	if s := h.State(); s.Wave != 1 || !s.Began.Equal(began) {
		t.Errorf("wave %d, began %s, and it was %s", s.Wave, s.Began, began)
	}
	if all := h.State().WavesBegan; len(all) != 2 || !all[0].Equal(began) || !all[1].Equal(h.Now) {
		t.Errorf("the waves began %v, the first one at %s, the second at %s", all, began, h.Now)
	}
	if found := h.State().Confirmed.GetFound(); len(found) != 1 {
		t.Errorf("found %v", found)
	}
}
