package execute_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	frozen "github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAFreezeSaysWhatBecomesOfWhatHasBegun has one begin between two waves.
func TestAFreezeSaysWhatBecomesOfWhatHasBegun(t *testing.T) {
	for _, test := range []struct {
		name, rule string
		lane       func(*releasev1.Request)
		want       procedure.Phase
	}{
		{"nothing", "", func(*releasev1.Request) {}, procedure.PhaseHeld},
		{"stop", "    overrun: OVERRUN_STOP\n", func(*releasev1.Request) {}, procedure.PhaseHeld},
		{"finish", "    overrun: OVERRUN_FINISH\n", func(*releasev1.Request) {}, procedure.PhaseVerify},
		{"roll back", "    overrun: OVERRUN_ROLL_BACK\n", func(*releasev1.Request) {}, procedure.PhaseRemedy},
		{"roll back what is the way back", "    overrun: OVERRUN_ROLL_BACK\n", proceduretest.Rollback, procedure.PhaseHeld},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
			r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}), test.lane)
			r.To(t, procedure.PhaseExecute)
			w.Run(t, "one", execute.New)
			r.Reaches(t, procedure.PhaseVerify)
			w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))+test.rule)
			r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
			if s := r.Reaches(t, test.want); test.want == procedure.PhaseVerify && s.Wave != 1 {
				t.Errorf("in wave %d", s.Wave)
			}
		})
	}
}

// TestAFreezeThatLetsFinishHoldsTheStart: nothing was begun that could be finished.
func TestAFreezeThatLetsFinishHoldsTheStart(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))+"    overrun: OVERRUN_FINISH\n")
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if s := r.State(t); s.Phase != procedure.PhaseHeld {
		t.Errorf("in phase %s", s.Phase)
	}
}

// TestTheExecutorJudgesExceptionsItself: what the record says of an exception counts only
// as far as the document lets that person make one of that very freeze.
func TestTheExecutorJudgesExceptionsItself(t *testing.T) {
	document := freeze("outage", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) + "    override_people: [anna]\n"
	parsed := &policyv1.Procedure{}
	if err := strictyaml.Decode([]byte(document), "document", parsed); err != nil {
		t.Fatal(err)
	}
	outage := parsed.GetFreezes()[0]
	longer := proto.CloneOf(outage)
	longer.Reason = "and longer"
	for _, test := range []struct {
		name, person string
		of           *policyv1.Freeze
		starts       bool
	}{
		{"by whom the freeze names", "anna", outage, true},
		{"by somebody else", "ben", outage, false},
		{"of another freeze of that name", "anna", longer, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			exception := proceduretest.Override("outage")
			exception.GetFreezeOverridden().FreezeDigest = frozen.Digest(test.of)
			r.Do(t, test.person, exception)
			w.Activate(t, document)
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			if s := r.State(t); s.Started() != test.starts {
				t.Errorf("in phase %s for %v", s.Phase, s.Holds)
			}
		})
	}
}
