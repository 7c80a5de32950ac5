package execute_test

import (
	"slices"
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

// owe makes the shop owe the review of an emergency; it blocks from that time on.
func owe(t *testing.T, w *sitetest.World, from time.Time) {
	t.Helper()
	store := w.Store(procedure.ServiceApproval)
	service, err := standing.ReadService(t.Context(), store, "production", "shop")
	if err != nil {
		t.Fatal(err)
	}
	event := service.Changed("shop-urgent", service.Open, []*releasev1.ReviewDebt{{
		Release: "shop-urgent", Due: timestamppb.New(from.Add(-time.Hour)), BlocksFrom: timestamppb.New(from),
	}})
	event.ProcedureDigest = w.Digest
	w.Append(t, procedure.ServiceApproval, service.Draft(event))
}

// TestAReviewThatBecameOverdueHoldsTheStart: at step 3 its grace was not over.
func TestAReviewThatBecameOverdueHoldsTheStart(t *testing.T) {
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
			owe(t, w, time.Now().Add(test.from))
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			s := r.State(t)
			if s.Started() != test.starts || !test.starts && (s.Holds[0].GetRule() != "review.overdue" || s.Holds[0].GetSubject() != "shop-urgent") {
				t.Errorf("in phase %s for %v", s.Phase, s.Holds)
			}
		})
	}
}

// TestAReleaseThatHasBegunIsNotHeldByAReview: half of it would wait for people who have
// nothing to do with it.
func TestAReleaseThatHasBegunIsNotHeldByAReview(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	owe(t, w, time.Now().Add(-time.Second))
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if s := r.Reaches(t, procedure.PhaseVerify); s.Wave != 1 {
		t.Errorf("in wave %d", s.Wave)
	}
}

// TestWhatAnEmergencyStartGoesAroundIsOnRecord has a freeze declared after an emergency
// was authorized.
func TestWhatAnEmergencyStartGoesAroundIsOnRecord(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t, proceduretest.Emergency)
	r.To(t, procedure.PhaseExecute)
	before := r.State(t).Bypassed
	w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))+"    bypassable: true\n")
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t); !s.Started() || !slices.Equal(s.Bypassed, append(slices.Clone(before), "freeze outage")) {
		t.Errorf("in phase %s, bypassed %q, before %q", s.Phase, s.Bypassed, before)
	}
}
