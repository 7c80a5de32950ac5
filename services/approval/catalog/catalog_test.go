package catalog_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/catalog"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

// tick lets the step act once for the release, and returns what it had to say.
func tick(t *testing.T, r *approvaltest.Rig, release string) []eventstore.Draft {
	t.Helper()
	step := catalog.New(r.Procedures, r.Store)
	task := r.Task(t, release, time.Now())
	if !procedure.Due(step.ID, task.State, task.Now) {
		return nil
	}
	drafts, err := step.Act(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	if len(drafts) == 0 {
		return nil
	}
	if _, err := r.Store.Append(t.Context(), drafts...); err != nil {
		t.Fatal(err)
	}
	return drafts
}

func shop(t *testing.T, r *approvaltest.Rig) standing.Service {
	t.Helper()
	s, err := standing.ReadService(t.Context(), r.Store, "production", "shop")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestARecordedReleaseIsOpenNoLonger(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	other := r.Request(t, proceduretest.Key("other"))
	release := r.Reach(t, procedure.PhaseRecord)
	if tick(t, r, release) != nil || len(shop(t, r).Open) != 2 {
		t.Fatalf("open before it is recorded: %v", shop(t, r).Open)
	}
	r.To(t, release, procedure.PhaseFollowUp)
	drafts := tick(t, r, release)
	if got := shop(t, r).Open; !slices.Equal(got, []string{other}) {
		t.Errorf("open %v", got)
	}
	if len(drafts) != 1 || drafts[0].Event.GetCausationId() == "" || drafts[0].Event.GetProcedureDigest() != r.Digest {
		t.Errorf("event %v", drafts)
	}
	if again := tick(t, r, release); again != nil {
		t.Errorf("woken again, it says %v", again)
	}
}

func TestAnEmergencyOwesAReviewUntilItIsDone(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	release := r.Reach(t, procedure.PhaseNotify, proceduretest.Emergency)
	tick(t, r, release)
	debts, due := shop(t, r).Debts, r.State(t, release).ReviewDue
	if len(debts) != 1 || debts[0].GetRelease() != release || !debts[0].GetDue().AsTime().Equal(due) ||
		!debts[0].GetBlocksFrom().AsTime().Equal(due.Add(24*time.Hour)) {
		t.Fatalf("debts %v", debts)
	}
	if again := tick(t, r, release); again != nil {
		t.Errorf("woken again, it says %v", again)
	}
	for r.State(t, release).Phase == procedure.PhaseNotify {
		r.Do(t, release, "", proceduretest.Notify(r.State(t, release)))
	}
	r.To(t, release, procedure.PhaseFollowUp)
	tick(t, r, release)
	if s := shop(t, r); len(s.Open) != 0 || len(s.Debts) != 1 {
		t.Fatalf("recorded and not reviewed: open %v, debts %v", s.Open, s.Debts)
	}
	r.Do(t, release, "cleo", proceduretest.Review())
	tick(t, r, release)
	if got := shop(t, r).Debts; len(got) != 0 {
		t.Errorf("reviewed, and owing %v", got)
	}
}
