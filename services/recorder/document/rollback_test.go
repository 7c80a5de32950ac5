package document_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// twice is a release whose first way back fails, and that goes back when a person orders it
// once more.
func twice(t *testing.T) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(twoWaves))
	to(t, h, procedure.PhaseVerify)
	h.Do(t, "", rich(h, proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false)))
	to(t, h, procedure.PhaseVerify)
	h.Do(t, "", rich(h, proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false)))
	to(t, h, procedure.PhaseRollingBack)
	h.Do(t, "", proceduretest.RolledBack(h.State(), map[string]releasev1.TargetResult_Status{"us1": releasev1.TargetResult_STATUS_FAILED}))
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ROLL_BACK))
	to(t, h, procedure.PhaseClosed)
	return h
}

func rollback(t *testing.T, h *proceduretest.History, number uint32) (*document.RollbackRecord, []byte) {
	t.Helper()
	r, ok := document.BuildRollback(h.Release, messages(h), number)
	if !ok {
		t.Fatalf("there is no way back %d", number)
	}
	text, err := r.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return r, text
}

// TestAWayBackHasARecordOfItsOwn with its own order, execution, verification and outcome, and
// the approval by which it goes.
func TestAWayBackHasARecordOfItsOwn(t *testing.T) {
	h := twice(t)
	first, _ := rollback(t, h, 1)
	second, _ := rollback(t, h, 2)
	for name, c := range map[string]struct {
		r                                            *document.RollbackRecord
		by, outcome                                  string
		ordered                                      string
		execution, verifications, decisions, attempt int
	}{
		"the first":  {first, "", "rollback_failed", "verification_failed", 2, 0, 0, 1},
		"the second": {second, "eve", "rolled_back", "intervened", 2, 1, 0, 1},
	} {
		r := c.r
		if r.OrderedBy != c.by || r.Outcome == nil || r.Outcome.Outcome != c.outcome || r.Ordered.Type != c.ordered ||
			len(r.Execution) != c.execution || len(r.Verifications) != c.verifications || len(r.Decisions) != c.decisions || int(r.Attempts) != c.attempt {
			t.Errorf("%s: %+v", name, r)
		}
		if r.WayBackOf != h.Release || r.Rollback != procedure.RollbackID(h.Release, r.Number) || r.Authorization == nil || r.ChangeDigest != h.State().ChangeDigest {
			t.Errorf("%s: of %s, %s, by approval %v of %s", name, r.WayBackOf, r.Rollback, r.Authorization, r.ChangeDigest)
		}
		var targets []string
		for _, target := range r.Targets {
			targets = append(targets, target.Target)
			if target.From != h.State().PrimaryArtifact().GetDigest() || target.To == "" {
				t.Errorf("%s: %+v", name, target)
			}
		}
		if !slices.Equal(targets, []string{"us2", "us1", "eu1"}) {
			t.Errorf("%s: takes back %v", name, targets)
		}
		if r.Timings.Total <= 0 || r.Timings.Total < r.Timings.Wait+r.Timings.Execute+r.Timings.Verify {
			t.Errorf("%s: %+v", name, r.Timings)
		}
	}
	if first.AsOfSequence >= second.Ordered.Sequence {
		t.Errorf("the first goes up to event %d, the second begins with %d", first.AsOfSequence, second.Ordered.Sequence)
	}
	for _, none := range []uint32{0, 3} {
		if _, ok := document.BuildRollback(h.Release, messages(h), none); ok {
			t.Errorf("there is a way back %d", none)
		}
	}
}

// TestTheRecordOfAWayBackIsTheSameWhenever it is made after its end: nothing that comes later,
// and nothing that does not count, is in it.
func TestTheRecordOfAWayBackIsTheSameWheneverItIsMade(t *testing.T) {
	h := twice(t)
	all := messages(h)
	for _, way := range h.State().Rollbacks {
		_, want := rollback(t, h, way.Number)
		made := 0
		for i := range all {
			if all[i].Entry.Sequence < way.Ended {
				continue
			}
			r, ok := document.BuildRollback(h.Release, all[:i+1], way.Number)
			if !ok {
				t.Fatalf("as of %d there is no way back %d", all[i].Entry.Sequence, way.Number)
			}
			got, err := r.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Fatalf("as of %d:\n%s", all[i].Entry.Sequence, diff)
			}
			made++
		}
		if made < 3 {
			t.Errorf("it was made %d times", made)
		}
	}
}

// TestAWayBackThatIsUnderWayHasNoOutcome, and is told as far as it went.
func TestAWayBackThatIsUnderWayHasNoOutcome(t *testing.T) {
	h := history(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	for _, phase := range []procedure.Phase{procedure.PhaseRemedy, procedure.PhaseRollingBack, procedure.PhaseVerifyRollback} {
		h.To(t, phase)
		r, text := rollback(t, h, 1)
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(text, &keys); err != nil || keys["outcome"] != nil || r.AsOfSequence != h.Last {
			t.Errorf("in phase %s: %s (%v)", phase, text, err)
		}
	}
}

// TestTheRecordOfAWayBackReadsAsInTestdata in both forms.
func TestTheRecordOfAWayBackReadsAsInTestdata(t *testing.T) {
	h := twice(t)
	for number, name := range map[uint32]string{1: "way_back_failed", 2: "way_back"} {
		r, text := rollback(t, h, number)
		for extension, got := range map[string][]byte{".md": r.Markdown(), ".json": text} {
			file := filepath.Join("testdata", name+extension)
			if *rewrite {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-rewrite takes it over):\n%s", file, diff)
			}
		}
	}
}
