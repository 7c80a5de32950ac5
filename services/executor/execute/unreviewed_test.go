package execute_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// forced makes the procedure owe the review of its document; it blocks from that time on.
func forced(t *testing.T, w *sitetest.World, from time.Time) {
	t.Helper()
	active, err := standing.ReadProcedure(t.Context(), w.Store(procedure.ServiceApproval), "PROC-DEPLOY-001")
	if err != nil {
		t.Fatal(err)
	}
	w.Append(t, procedure.ServiceApproval, active.Draft(&releasev1.Event{ProcedureDigest: w.Digest, Data: &releasev1.Event_ProcedureActivated{
		ProcedureActivated: &releasev1.ProcedureActivated{Version: "1.1", Digest: w.Digest, Standing: &releasev1.ProcedureStanding{
			Version: "1.1", Digest: w.Digest, Forced: 1, Debts: []*releasev1.ProcedureDebt{{
				Number: 1, Version: "1.1", Digest: w.Digest, ClaimedBy: "dave", Group: "security",
				Due: timestamppb.New(from.Add(-time.Hour)), BlocksFrom: timestamppb.New(from),
			}},
		}},
	}}))
}

// TestAForcedDocumentWhoseReviewBecameOverdueHoldsTheStart: at step 3 its grace was not over.
// What has begun, an emergency and a way back go on.
func TestAForcedDocumentWhoseReviewBecameOverdueHoldsTheStart(t *testing.T) {
	for _, test := range []struct {
		name   string
		lane   func(*releasev1.Request)
		from   time.Duration
		starts bool
	}{
		{"a planned release", func(*releasev1.Request) {}, -time.Second, false},
		{"a planned release within the grace", func(*releasev1.Request) {}, time.Hour, true},
		{"an emergency", proceduretest.Emergency, -time.Second, true},
		{"a rollback", proceduretest.Rollback, -time.Second, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t, test.lane)
			r.To(t, procedure.PhaseExecute)
			forced(t, w, time.Now().Add(test.from))
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			s := r.State(t)
			if s.Started() != test.starts || !test.starts && (s.Holds[0].GetRule() != procedure.HoldDocumentUnreviewed || s.Holds[0].GetSubject() != w.Digest) {
				t.Errorf("in phase %s for %v", s.Phase, s.Holds)
			}
		})
	}
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	forced(t, w, time.Now().Add(-time.Second))
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if s := r.Reaches(t, procedure.PhaseVerify); s.Wave != 1 {
		t.Errorf("what had begun is in wave %d", s.Wave)
	}
}
