package execute_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/release"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const watched = `alerts:
  - {name: errors, source: alertmanager, matchers: [{label: service, is: "{service}"}], reason: look after it first, bypassable: true}
`

// monitor is an Alertmanager that says whatever the test has it say; "" is a failure.
type monitor struct {
	answer  atomic.Pointer[string]
	sources map[string]alerts.Asked
}

func (m *monitor) says(text string) { m.answer.Store(&text) }

func (m *monitor) fires(since time.Time) {
	m.says(fmt.Sprintf(`[{"labels":{"alertname":"ErrorRate","service":"shop"},"startsAt":%q,"status":{"state":"active"}}]`, since.UTC().Format(time.RFC3339Nano)))
}

// watch is a world whose releases are held by alerts, and the source of these.
func watch(t *testing.T, w *sitetest.World) *monitor {
	t.Helper()
	w.Digest = w.Keep(t, sitetest.Document(watched))
	m := &monitor{}
	m.says(`[]`)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := *m.answer.Load(); text != "" {
			_, _ = w.Write([]byte(text))
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	var err error
	if m.sources, err = alerts.Open([]*configv1.AlertSource{{Name: "alertmanager", Kind: configv1.AlertSource_KIND_ALERTMANAGER, Url: server.URL}}); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAlertsAreAskedForAgainAtTheStart: hours may lie between step 3 and the start (PD-3.4).
func TestAlertsAreAskedForAgainAtTheStart(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	m := watch(t, w)
	since := time.Now().Add(-time.Minute)
	for _, test := range []struct {
		name    string
		says    func()
		sources bool
		lane    func(*releasev1.Request)
		phase   procedure.Phase
		hold    string
	}{
		{"quiet", func() { m.says(`[]`) }, true, func(*releasev1.Request) {}, procedure.PhaseExecuting, ""},
		{"fires", func() { m.fires(since) }, true, func(*releasev1.Request) {}, procedure.PhaseHeld, "alert.firing"},
		{"nobody answers", func() { m.says("") }, true, func(*releasev1.Request) {}, procedure.PhaseHeld, "alert.unknown"},
		{"no source is configured", func() {}, false, func(*releasev1.Request) {}, procedure.PhaseHeld, "alert.unknown"},
		{"an emergency goes around", func() { m.fires(since) }, true, proceduretest.Emergency, procedure.PhaseExecuting, ""},
	} {
		test.says()
		r := w.Release(t, test.lane, proceduretest.Key(strings.ReplaceAll(test.name, " ", "-")))
		r.To(t, procedure.PhaseExecute)
		e := w.Executor(t, "one", nil)
		if test.sources {
			e.Sources = m.sources
		}
		events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		s := r.State(t)
		if s.Phase != test.phase {
			t.Errorf("%s: in phase %s, %v, %q", test.name, s.Phase, s.Holds, s.EndReason)
			continue
		}
		said := slices.Concat(events[0].GetStartHeld().GetAlerts(), events[0].GetExecutionClaimed().GetAlerts())
		if len(said) != 1 || said[0].GetSource() != "alertmanager" || (said[0].GetError() == "") == (said[0].GetAnswer() == nil) {
			t.Errorf("%s: the event names %v", test.name, said)
		}
		if test.hold != "" && (s.Holds[0].GetRule() != test.hold || s.Holds[0].GetSubject() != "errors" || !strings.Contains(s.Holds[0].GetMessage(), "look after it first")) {
			t.Errorf("%s: held by %v", test.name, s.Holds)
		}
		if around := slices.Contains(s.Bypassed, "alert rule errors"); around != s.Emergency() {
			t.Errorf("%s: bypassed is %q", test.name, s.Bypassed)
		}
		if test.phase == procedure.PhaseExecuting {
			w.Unlock(t, "eu1", r.ID, nil)
		}
	}
}

// TestAnAlertHoldsTheNextWave: the first wave may be what has set it off. The second waits,
// goes on when it is quiet, and, where it never is, people hear of it.
func TestAnAlertHoldsTheNextWave(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	m := watch(t, w)
	r := w.Release(t, proceduretest.Waves([]string{"eu1"}, []string{"eu2"}))
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	e.Sources = m.sources
	turn := func(late time.Duration) procedure.State {
		t.Helper()
		task := r.Task(t, 1)
		task.Now = task.Now.Add(late)
		if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), task); err != nil {
			t.Fatal(err)
		}
		return r.State(t)
	}
	if turn(0); turn(0).Phase != procedure.PhaseVerify {
		t.Fatalf("the first wave: %s", r.State(t).Phase)
	}
	m.fires(time.Now())
	r.Do(t, "", proceduretest.Verified(r.State(t), releasev1.CheckResult_VERDICT_PASS, false))
	if s := turn(0); s.Phase != procedure.PhaseHeld || s.Wave != 1 || s.Holds[0].GetRule() != "alert.firing" {
		t.Fatalf("the second wave: %s of wave %d, %v", s.Phase, s.Wave, s.Holds)
	}
	// A hold that nobody knows the end of is looked at again, until it is people's.
	state := r.State(t)
	state.Phase, state.Holds = procedure.PhaseExecute, nil
	for late, want := range map[time.Duration]string{time.Minute: "start_held", state.Requested.GetTimeouts().GetDecision().AsDuration() + time.Minute: "execution_refused"} {
		task := r.Task(t, 1)
		task.State, task.Now = state, state.HeldSince.Add(late)
		drafts, err := execute.New(e.Site, time.Now).Act(t.Context(), task)
		if err != nil || procedure.TypeOf(drafts[0].Event) != want {
			t.Errorf("after %s: %v, %v", late, drafts, err)
		}
	}
}

// TestAWaveThatWasClaimedDoesNotBeginIntoAnAlert: between claim and effect may lie a night.
func TestAWaveThatWasClaimedDoesNotBeginIntoAnAlert(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	m := watch(t, w)
	e := w.Executor(t, "one", nil)
	e.Sources = m.sources
	step := execute.New(e.Site, time.Now)
	planned := w.Release(t, proceduretest.Key("planned"))
	planned.To(t, procedure.PhaseExecute)
	if _, err := e.Turn(t.Context(), step, planned.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	m.says("")
	if drafts, err := step.Act(t.Context(), planned.Task(t, 1)); err == nil || !strings.Contains(err.Error(), "nobody can tell whether alerts fire") {
		t.Errorf("nobody can tell: %v, %v", drafts, err)
	}
	m.fires(time.Now())
	events, err := e.Turn(t.Context(), step, planned.Task(t, 1))
	if err != nil || !strings.Contains(events[0].GetExecutionFailed().GetReason(), "it was not begun: held by alert.firing errors") || len(w.Starts(t, "eu1")) != 0 {
		t.Errorf("it fires: %v, %v", events, err)
	}
	// An emergency is not held, and says before its effect that it goes around.
	m.says(`[]`)
	urgent := w.Release(t, proceduretest.Emergency, proceduretest.Key("urgent"), proceduretest.Waves([]string{"eu2"}))
	urgent.To(t, procedure.PhaseExecute)
	if _, err := e.Turn(t.Context(), step, urgent.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	m.fires(time.Now())
	events, err = e.Turn(t.Context(), step, urgent.Task(t, 1))
	if err != nil || !slices.Contains(events[0].GetExecutionClaimed().GetBypassed(), "alert rule errors") || len(events[0].GetExecutionClaimed().GetAlerts()) != 1 {
		t.Errorf("an emergency claims again: %v, %v", events, err)
	}
	if events, err = e.Turn(t.Context(), step, urgent.Task(t, 1)); err != nil || events[0].GetExecutionFinished() == nil {
		t.Errorf("and begins: %v, %v", events, err)
	}
}

// TestAnAlertDoesNotHoldTheWayBackAtItsStart has one that began with the release that is
// taken back, and one that was there before.
func TestAnAlertDoesNotHoldTheWayBackAtItsStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	m := watch(t, w)
	w.Carries(t, "eu1", 1)
	e := w.Executor(t, "one", nil)
	e.Sources = m.sources
	forth := w.Release(t)
	forth.To(t, procedure.PhaseExecute)
	for range 2 {
		if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), forth.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
	}
	forth.To(t, procedure.PhaseRelease)
	if _, err := e.Turn(t.Context(), release.New(e.Site, time.Now), forth.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	began := forth.Find(t, "execution_claimed").GetTime().AsTime()
	for _, test := range []struct {
		name  string
		since time.Time
		phase procedure.Phase
	}{
		{"there before", began.Add(-time.Hour), procedure.PhaseHeld}, {"raised by it", began.Add(time.Minute), procedure.PhaseExecuting},
	} {
		m.fires(test.since)
		back := w.Release(t, sitetest.Version(1), proceduretest.Key(strings.ReplaceAll(test.name, " ", "-")), proceduretest.Rollback, func(r *releasev1.Request) { r.RollbackOf = forth.ID })
		back.To(t, procedure.PhaseExecute)
		if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), back.Task(t, 1)); err != nil {
			t.Fatal(err)
		}
		if s := back.State(t); s.Phase != test.phase || s.Phase == procedure.PhaseHeld && s.Holds[0].GetRule() != "alert.firing" {
			t.Errorf("%s: in phase %s, %v, %q", test.name, s.Phase, s.Holds, s.EndReason)
		}
	}
}
