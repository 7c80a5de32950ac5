package execute_test

import (
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const asks = `remediation:
  - name: ask-first
    when: {causes: [CAUSE_EXECUTION_FAILED], environments: [production]}
    then: ACTION_ASK
    ask: {who: ASKED_OWNER, within: 900s, otherwise: ACTION_ROLL_BACK}
`

// TestPeopleAreAskedAboutWhatCouldNotBeExecuted, by the release's own document and not by the
// one that is in effect since. Of what never began nobody is asked.
func TestPeopleAreAskedAboutWhatCouldNotBeExecuted(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Keep(t, sitetest.Document(asks))
	r := w.Release(t)
	r.Execute = 3 * time.Second
	r.To(t, procedure.PhaseExecute)
	w.Activate(t, sitetest.Document(""))
	release := w.Occupy(t, "eu1")
	defer release()
	w.Run(t, "one", execute.New)
	s := r.Reaches(t, procedure.PhaseEscalated)
	if s.EscalatedFor != releasev1.Cause_CAUSE_EXECUTION_FAILED || s.Question.Otherwise != releasev1.Remedy_ACTION_ROLL_BACK ||
		!s.Question.Until.Equal(s.Entered.Add(15*time.Minute)) {
		t.Errorf("for %s: %+v", s.EscalatedFor, s.Question)
	}
}

func TestNobodyIsAskedAboutWhatNeverBegan(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Keep(t, sitetest.Document(asks))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	cause := r.Cause(t)
	lost, heir := w.Executor(t, "lost", nil), w.Executor(t, "heir", nil)
	if _, err := lost.Turn(t.Context(), execute.New(lost.Site, time.Now), r.TaskBy(t, cause, 1)); err != nil {
		t.Fatal(err)
	}
	r.Do(t, "eve", proceduretest.Abort())
	step := execute.New(heir.Site, time.Now)
	for range 2 {
		if _, err := heir.Turn(t.Context(), step, r.TaskBy(t, cause, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.State(t); s.Phase != procedure.PhaseRemedy {
		t.Errorf("in phase %s: %s", s.Phase, s.EndReason)
	}
}
