package gates_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

// TestMissingEvidenceIsWaitedForWhereTheDocumentGrantsTime, and nothing else is.
func TestMissingEvidenceIsWaitedForWhereTheDocumentGrantsTime(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Gates[0].EvidenceWithin = durationpb.New(time.Hour)
	}))
	artifact := proceduretest.Digest('a')
	step := gates.New(r.Procedures, r.Evidence, nil)
	act := func(release string, after time.Duration) procedure.State {
		t.Helper()
		s, err := r.Act(t, step, release, r.State(t, release).RequestedAt.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	bring := func(release string, content []byte) {
		t.Helper()
		ref, err := r.Evidence.Put(t.Context(), "application/json", "late", content)
		if err != nil {
			t.Fatal(err)
		}
		r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_EvidenceAdded{EvidenceAdded: &releasev1.EvidenceAdded{Evidence: []*releasev1.EvidenceRef{ref}}}})
	}
	release := request(t, r, "comes", nil)
	s := act(release, 0)
	until := s.RequestedAt.Add(time.Hour)
	if s.Phase != procedure.PhaseHeld || !s.HeldUntil.Equal(until) || len(s.Holds) != 1 || s.Holds[0].GetRule() != procedure.HoldEvidenceMissing || s.Holds[0].GetSubject() != "tests" {
		t.Fatalf("phase %s until %s: %v", s.Phase, s.HeldUntil, s.Holds)
	}
	if d, ok := procedure.NextDeadline(s); !ok || !d.At.Equal(until) {
		t.Errorf("deadline %v, %v", d, ok)
	}
	bring(release, tests(t, "billing-ci", "PASSED", artifact)) // whom nobody trusts
	if s = act(release, time.Minute); s.Phase != procedure.PhaseHeld || !s.HeldUntil.Equal(until) {
		t.Errorf("after what does not count: phase %s until %s", s.Phase, s.HeldUntil)
	}
	bring(release, tests(t, "ci", "PASSED", artifact))
	if s = act(release, 2*time.Minute); s.Phase != procedure.PhaseScope || s.Gates[0].GetSignedBy() != "ci" {
		t.Errorf("phase %s: %v", s.Phase, s.Gates)
	}
	for name, c := range map[string]struct {
		evidence []byte
		after    time.Duration
		changes  []func(*releasev1.Request)
		want     procedure.Phase
	}{
		"over":          {nil, time.Hour, nil, procedure.PhaseRecord},
		"not-yet-over":  {nil, time.Hour - 1, nil, procedure.PhaseHeld},
		"speaks-for-it": {tests(t, "ci", "PASSED", artifact), 0, nil, procedure.PhaseScope},
		"speaks-not":    {tests(t, "ci", "FAILED", artifact), 0, nil, procedure.PhaseRecord},
		"urgent":        {nil, 0, []func(*releasev1.Request){proceduretest.Emergency}, procedure.PhaseScope},
	} {
		if s := act(request(t, r, name, c.evidence, c.changes...), c.after); s.Phase != c.want {
			t.Errorf("%s: phase %s, %s", name, s.Phase, s.EndReason)
		}
	}
	other := approvaltest.New(t, approvaltest.Document())
	if s, err := other.Act(t, gates.New(other.Procedures, other.Evidence, nil), request(t, other, "no-time", nil), time.Now()); err != nil || s.Phase != procedure.PhaseRecord {
		t.Errorf("without a time: phase %s, %v", s.Phase, err)
	}
	if step, ok := procedure.StepByID(procedure.StepGates); !ok || !slices.Contains(step.WakesOn, "evidence_added") {
		t.Error("evidence that comes wakes nobody")
	}
}
