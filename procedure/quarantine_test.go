package procedure_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// failed is a release of which every target failed its checks.
func failed(t *testing.T, changes ...func(*releasev1.Request)) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(changes...))
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	return h
}

// quarantined is the standing of the artifact of a release that is sent back.
func quarantined(h *proceduretest.History) procedure.Quarantined {
	return stands(h, procedure.DecideQuarantine(procedure.Quarantined{}, procedure.RemedyQuarantines(h.State()), procedure.WhyQuarantined(h.State(), h.Entries, h.Now)), nil)
}

// stands is the standing after an event of the artifact's history.
func stands(h *proceduretest.History, e *releasev1.Event, by *releasev1.Actor) procedure.Quarantined {
	e.Aggregate = procedure.ArtifactAggregate(proceduretest.Digest('a'))
	return procedure.QuarantineOf(proceduretest.Entry(h.State(), 1, h.Now, by, e).Event)
}

func TestTwoPeopleLetAnArtifactOut(t *testing.T) {
	h := failed(t)
	q := quarantined(h)
	if !q.Held || q.State.GetReasons()[0].GetRelease() != h.Release {
		t.Fatalf("it stands at %v", q)
	}
	of := map[string]procedure.State{h.Release: h.State()}
	if _, err := procedure.DecideClearance(q, of, proceduretest.Person("cleo"), nil, "fine", h.Now); !errors.Is(err, procedure.ErrNotProposed) {
		t.Errorf("cleared though nobody asked: %v", err)
	}
	proposal, err := procedure.DecideProposal(q, proceduretest.Person("otto"), "the check was wrong", h.Now)
	if err != nil {
		t.Fatal(err)
	}
	asked := stands(h, proposal, proceduretest.Person("otto"))
	if !asked.Held {
		t.Error("a proposal lets it out")
	}
	for person, want := range map[string]error{
		"otto": procedure.ErrOwnClearance, "rita": procedure.ErrOwnChange, "ada": procedure.ErrOwnChange,
	} {
		if _, err := procedure.DecideClearance(asked, of, proceduretest.Person(person), nil, "fine", h.Now); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", person, err, want)
		}
	}
	for name, want := range map[string]error{"Otto": procedure.ErrOwnClearance, "rita": procedure.ErrOwnChange, "ALAN": procedure.ErrOwnChange} {
		if _, err := procedure.DecideClearance(asked, of, proceduretest.Person("cleo"), []string{"cleo", name}, "fine", h.Now); !errors.Is(err, want) {
			t.Errorf("by who is %s, too: %v, want %v", name, err, want)
		}
	}
	if _, err := procedure.DecideClearance(asked, nil, proceduretest.Person("cleo"), nil, "fine", h.Now); err == nil {
		t.Error("cleared though nobody can tell who had a part in the release")
	}
	if _, err := procedure.DecideClearance(asked, of, proceduretest.Service("approval"), nil, "fine", h.Now); !errors.Is(err, procedure.ErrNotHuman) {
		t.Errorf("by a machine: %v", err)
	}
	clearance, err := procedure.DecideClearance(asked, of, proceduretest.Person("cleo"), []string{"cleo", "cleopatra"}, "seen the probe", h.Now)
	if err != nil {
		t.Fatal(err)
	}
	out := stands(h, clearance, proceduretest.Person("cleo"))
	if out.Held || !slices.Equal(out.State.GetClearance().GetConfirmedAs(), []string{"cleo", "cleopatra"}) {
		t.Fatalf("it is held after %v", clearance)
	}
	for _, word := range []string{"let out", "cleo", "otto", "the check was wrong", h.Release} {
		if !strings.Contains(out.Sentence(), word) {
			t.Errorf("%q does not say %q", out.Sentence(), word)
		}
	}
	if _, err := procedure.DecideProposal(out, proceduretest.Person("otto"), "again", h.Now); !errors.Is(err, procedure.ErrNotQuarantined) {
		t.Errorf("proposed though it is out: %v", err)
	}
	again := stands(h, procedure.DecideQuarantine(out, proceduretest.Digest('a'), procedure.WhyQuarantined(h.State(), h.Entries, h.Now)), nil)
	if !again.Held || again.State.GetClearance() != nil || again.State.GetClearedBefore() != 1 || len(again.State.GetReasons()) != 1 {
		t.Errorf("back there, it stands at %v", again)
	}
}

func TestAClearanceThatIsNoneLetsNothingOut(t *testing.T) {
	h := failed(t)
	good := &releasev1.QuarantineCleared{State: proto.CloneOf(quarantined(h).State)}
	good.State.Clearance = &releasev1.Clearance{ProposedBy: "otto", Reason: "r", ConfirmedBy: "cleo", Comment: "c"}
	event := func(d *releasev1.QuarantineCleared) *releasev1.Event {
		return &releasev1.Event{
			Aggregate: procedure.ArtifactAggregate(proceduretest.Digest('a')), Writer: procedure.ServiceApproval,
			Actor: proceduretest.Person("cleo"), Data: &releasev1.Event_QuarantineCleared{QuarantineCleared: d},
		}
	}
	if procedure.QuarantineOf(event(good)).Held {
		t.Fatal("a clearance lets nothing out")
	}
	for name, spoil := range map[string]func(e *releasev1.Event, q *releasev1.Quarantine){
		"by another service":                func(e *releasev1.Event, _ *releasev1.Quarantine) { e.Writer = procedure.ServiceExecutor },
		"by a machine":                      func(e *releasev1.Event, _ *releasev1.Quarantine) { e.Actor = proceduretest.Service("approval") },
		"by somebody else":                  func(e *releasev1.Event, _ *releasev1.Quarantine) { e.Actor = proceduretest.Person("dan") },
		"by who asked":                      func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Clearance.ProposedBy = "cleo" },
		"that nobody asked for":             func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Clearance.ProposedBy = "" },
		"by nobody":                         func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Clearance.ConfirmedBy = "" },
		"without a reason":                  func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Clearance.Reason = "" },
		"without a comment":                 func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Clearance.Comment = "" },
		"of another artifact":               func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Digest = proceduretest.Digest('b') },
		"by the requester":                  func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Reasons[0].Requester = "cleo" },
		"by the requester, by another name": func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Clearance.ConfirmedAs = []string{"cleo", "Rita"} },
		"by who asked, by another name": func(_ *releasev1.Event, q *releasev1.Quarantine) {
			q.Clearance.ProposedBy, q.Clearance.ConfirmedAs = "dan", []string{"cleo", "dan"}
		},
		"of what is not remembered": func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Forgotten = 1 },
		"by the owner":              func(_ *releasev1.Event, q *releasev1.Quarantine) { q.Reasons[0].Owner = "cleo" },
	} {
		d := proto.CloneOf(good)
		e := event(d)
		spoil(e, d.GetState())
		if !procedure.QuarantineOf(e).Held {
			t.Errorf("a clearance %s lets it out", name)
		}
	}
	if !procedure.QuarantineOf(&releasev1.Event{}).Held {
		t.Error("an event that says nothing lets it out")
	}
}

func TestQuarantineSaysWhatSentTheReleaseBack(t *testing.T) {
	for name, test := range map[string]struct {
		back  func(t *testing.T, h *proceduretest.History)
		cause releasev1.QuarantineReason_Cause
		says  string
	}{
		"validation failed": {func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
		}, releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, "FAIL"},
		"validation inconclusive": {func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_INCONCLUSIVE, false))
		}, releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, "INCONCLUSIVE"},
		"execution failed": {func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseExecuting)
			h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_FAILED}))
		}, releasev1.QuarantineReason_CAUSE_EXECUTION_FAILED, "the driver says so"},
		"overrun by a freeze": {func(t *testing.T, h *proceduretest.History) {
			h.Asked.Plan.Waves = []*releasev1.Wave{{Targets: []string{"eu1"}}, {Targets: []string{"us1"}}}
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
			h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_ExecutionOverrun{ExecutionOverrun: &releasev1.ExecutionOverrun{
				Wave: h.State().Wave, Reasons: []*releasev1.HoldReason{{Rule: "freeze", Subject: "weekend", Message: "nobody is there"}},
			}}})
		}, releasev1.QuarantineReason_CAUSE_OVERRUN, "freeze weekend: nobody is there"},
		"aborted": {func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "eve", &releasev1.Event{Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{Reason: "orders are lost"}}})
		}, releasev1.QuarantineReason_CAUSE_ORDERED, "aborted by eve: orders are lost"},
	} {
		t.Run(name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request())
			test.back(t, h)
			if h.State().Phase != procedure.PhaseRemedy {
				t.Fatalf("phase %s", h.State().Phase)
			}
			why := quarantined(h).State.GetReasons()[0]
			if why.GetCause() != test.cause || !strings.Contains(why.GetReason(), test.says) || why.GetRequester() != "rita" || why.GetOwner() != "otto" {
				t.Errorf("%v", why)
			}
		})
	}
}

func TestOnlyWhatRanGoesIntoQuarantine(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseExecuting)
	results := proceduretest.Results(h.State(), []string{"eu1"}, "", map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_SKIPPED})
	h.Do(t, "", procedure.DecideExecuted(h.State(), results, "not begun"))
	if got := procedure.RemedyQuarantines(h.State()); got != "" {
		t.Errorf("%s goes into quarantine, and never ran", got)
	}
	remedy := proceduretest.Remedy(h.State(), "executor-1", h.Now)
	remedy.GetRollbackClaimed().Quarantined = proceduretest.Digest('a')
	if _, err := procedure.Evolve(h.State(), h.Next(nil, remedy)); !errors.Is(err, procedure.ErrInvalidTransition) {
		t.Errorf("a way back that puts it there counts: %v", err)
	}
}

func TestTheWayBackNamesTheArtifactThatWasPlaced(t *testing.T) {
	for digest, counts := range map[string]bool{"": true, proceduretest.Digest('a'): true, proceduretest.Digest('b'): false} {
		h := failed(t)
		remedy := proceduretest.Remedy(h.State(), "executor-1", h.Now)
		remedy.GetRollbackClaimed().Quarantined = digest
		if _, err := procedure.Evolve(h.State(), h.Next(nil, remedy)); (err == nil) != counts {
			t.Errorf("claimed with %q: %v", digest, err)
		}
		h = failed(t, proceduretest.Irreversible)
		none := proceduretest.Remedy(h.State(), "executor-1", h.Now)
		none.GetRollbackUnavailable().Quarantined = digest
		if _, err := procedure.Evolve(h.State(), h.Next(nil, none)); (err == nil) != counts {
			t.Errorf("unavailable with %q: %v", digest, err)
		}
	}
}

func TestARollbackPutsWhatItTookBackIntoQuarantine(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Rollback))
	h.To(t, procedure.PhaseRelease)
	if got := procedure.ReleaseQuarantines(h.State()); got != "shop-aaaaaaaaaaaaaaaa" {
		t.Errorf("it takes back %q", got)
	}
	planned := proceduretest.New(proceduretest.Request())
	planned.To(t, procedure.PhaseRelease)
	if got := procedure.ReleaseQuarantines(planned.State()); got != "" {
		t.Errorf("a planned release takes back %q", got)
	}
	e := proceduretest.Released(planned.State())
	e.GetTargetsReleased().Quarantined = proceduretest.Digest('b')
	if _, err := procedure.Evolve(planned.State(), planned.Next(nil, e)); !errors.Is(err, procedure.ErrInvalidTransition) {
		t.Errorf("a planned release puts something there: %v", err)
	}
	why := procedure.WhyTakenBack(planned.State(), h.State(), h.Now)
	if why.GetByRelease() != h.Release || why.GetRelease() != planned.Release || why.GetCause() != releasev1.QuarantineReason_CAUSE_TAKEN_BACK {
		t.Errorf("%v", why)
	}
}

func TestWhoIsStoppedByAQuarantine(t *testing.T) {
	const blocking, warning = releasev1.Finding_SEVERITY_BLOCKING, releasev1.Finding_SEVERITY_WARNING
	carried := func(previous, deployed byte) []*releasev1.ScopedTarget {
		return []*releasev1.ScopedTarget{{State: &releasev1.TargetState{
			Previous: &releasev1.Deployment{Digest: proceduretest.Digest(previous), Release: "shop-before"},
			Deployed: &releasev1.Deployment{Digest: proceduretest.Digest(deployed), Release: "shop-now"},
		}}}
	}
	// because is why it is in quarantine: by that release of the service in that environment.
	because := func(cause releasev1.QuarantineReason_Cause, release, service, environment string) *releasev1.Quarantine {
		return &releasev1.Quarantine{Reasons: []*releasev1.QuarantineReason{
			{Cause: releasev1.QuarantineReason_CAUSE_EXECUTION_FAILED, Release: "mail-9", Service: "mail", Environment: "staging"},
			{Cause: cause, Release: release, Service: service, Environment: environment},
		}}
	}
	const failed, taken, overrun = releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, releasev1.QuarantineReason_CAUSE_TAKEN_BACK, releasev1.QuarantineReason_CAUSE_OVERRUN
	const stopped = releasev1.QuarantineReason_CAUSE_EXECUTION_FAILED
	halved := func(q *releasev1.Quarantine) *releasev1.Quarantine {
		q.Reasons[1].CutShort = true
		return q
	}
	elsewhere := because(failed, "mail-7", "mail", "staging")
	for _, test := range []struct {
		name       string
		change     func(*releasev1.Request)
		targets    []*releasev1.ScopedTarget
		stands     *releasev1.Quarantine
		bypassable bool
		want       releasev1.Finding_Severity
	}{
		{"planned", func(*releasev1.Request) {}, carried('a', 'b'), elsewhere, true, blocking},
		{"emergency", proceduretest.Emergency, carried('a', 'b'), elsewhere, false, blocking},
		{"emergency that may go around it", proceduretest.Emergency, carried('c', 'b'), elsewhere, true, warning},
		{"emergency that brings back what was taken back", proceduretest.Emergency, carried('a', 'b'), because(taken, "shop-before", "shop", "production"), true, warning},
		{"rollback to what it carried", proceduretest.Rollback, carried('a', 'b'), elsewhere, false, warning},
		{"rollback to what it carries", proceduretest.Rollback, carried('b', 'a'), elsewhere, false, warning},
		{"rollback to something else", proceduretest.Rollback, carried('c', 'b'), elsewhere, false, blocking},
		{"rollback of targets of which one never carried it", proceduretest.Rollback, slices.Concat(carried('a', 'b'), carried('c', 'b')), elsewhere, false, blocking},
		{"rollback of nothing", proceduretest.Rollback, nil, elsewhere, false, blocking},
		{"rollback of the rollback that took it back", proceduretest.Rollback, carried('a', 'b'), because(taken, "shop-before", "shop", "production"), true, blocking},
		{"rollback to what was taken back from here before", proceduretest.Rollback, carried('a', 'b'), because(taken, "shop-older", "shop", "production"), true, blocking},
		{"rollback to what another environment took back", proceduretest.Rollback, carried('a', 'b'), because(taken, "shop-s", "shop", "staging"), false, warning},
		{"rollback to what another service took back", proceduretest.Rollback, carried('a', 'b'), because(taken, "mail-7", "mail", "production"), false, warning},
		{"rollback to what failed when it was placed", proceduretest.Rollback, carried('a', 'b'), because(failed, "shop-before", "shop", "production"), true, blocking},
		{"rollback to what it carries and failed with", proceduretest.Rollback, carried('b', 'a'), because(failed, "shop-now", "shop", "production"), true, blocking},
		{"rollback to what failed on one of two targets", proceduretest.Rollback, slices.Concat(carried('a', 'b'), carried('b', 'a')), because(failed, "shop-now", "shop", "production"), true, blocking},
		{"rollback to what a freeze took back", proceduretest.Rollback, carried('a', 'b'), because(overrun, "shop-before", "shop", "production"), false, warning},
		{"rollback to what another rollback placed and failed with", proceduretest.Rollback, carried('b', 'a'), because(failed, "shop-now", "shop", "production"), false, blocking},
		{"rollback to what half a rollback placed", proceduretest.Rollback, carried('b', 'a'), halved(because(stopped, "shop-now", "shop", "production")), false, warning},
		{"planned release of what half a rollback placed", func(*releasev1.Request) {}, carried('b', 'a'), halved(because(stopped, "shop-now", "shop", "production")), false, blocking},
		{"rollback from what failed", proceduretest.Rollback, carried('a', 'b'), because(failed, "shop-now", "shop", "production"), false, warning},
	} {
		if got := procedure.QuarantineSeverity(proceduretest.Request(test.change), test.targets, test.stands, test.bypassable); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestHalfAWayBackSaysNothingAgainstWhatItPlaced: the second wave of a rollback fails, or a
// person stops it. It can be asked for again, or the other targets would keep what is broken.
func TestHalfAWayBackSaysNothingAgainstWhatItPlaced(t *testing.T) {
	fails := func(t *testing.T, h *proceduretest.History) {
		h.To(t, procedure.PhaseExecuting)
		h.Do(t, "", proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"us1": releasev1.TargetResult_STATUS_FAILED}))
	}
	aborted := func(t *testing.T, h *proceduretest.History) { h.Do(t, "eve", proceduretest.Abort()) }
	checked := func(v releasev1.CheckResult_Verdict) func(*testing.T, *proceduretest.History) {
		return func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseExecuting)
			h.To(t, procedure.PhaseVerify)
			h.Do(t, "", proceduretest.Verified(h.State(), v, false))
		}
	}
	for name, test := range map[string]struct {
		change func(*releasev1.Request)
		then   func(*testing.T, *proceduretest.History)
		want   bool
	}{
		"its second wave fails":       {proceduretest.Rollback, fails, true},
		"a person stops it":           {proceduretest.Rollback, aborted, true},
		"a check fails":               {proceduretest.Rollback, checked(releasev1.CheckResult_VERDICT_FAIL), false},
		"a check comes to no verdict": {proceduretest.Rollback, checked(releasev1.CheckResult_VERDICT_INCONCLUSIVE), false},
		"a check failed, and it was tried again": {proceduretest.Rollback, func(t *testing.T, h *proceduretest.History) {
			checked(releasev1.CheckResult_VERDICT_FAIL)(t, h)
			h.Do(t, "", proceduretest.Remedy(h.State(), "executor-1", h.Now))
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_RETRY))
			fails(t, h)
		}, false},
		"a check came to no verdict, and a person decided": {proceduretest.Rollback, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerify)
			e := proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_INCONCLUSIVE, false)
			e.GetVerificationInconclusive().CountsAsFailure = false
			h.Do(t, "", e)
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ROLL_BACK))
		}, false},
		"a planned release fails":      {func(*releasev1.Request) {}, fails, false},
		"a planned release is stopped": {func(*releasev1.Request) {}, aborted, false},
		"an emergency fails":           {proceduretest.Emergency, fails, false},
	} {
		h := proceduretest.New(proceduretest.Request(test.change, proceduretest.Waves([]string{"eu1"}, []string{"us1"})))
		h.To(t, procedure.PhaseVerify)
		h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_PASS, false))
		test.then(t, h)
		if got := procedure.WhyQuarantined(h.State(), h.Entries, h.Now); got.GetCutShort() != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAStandingIsBounded(t *testing.T) {
	h := failed(t)
	q := quarantined(h)
	q.State.GetReasons()[0].CutShort = true
	if procedure.DecideQuarantine(q, proceduretest.Digest('a'), q.State.GetReasons()[0]) != nil {
		t.Error("the same release puts it there twice")
	}
	put := func(i int) {
		why := proto.CloneOf(q.State.GetReasons()[0])
		why.Release, why.Reason, why.Version = fmt.Sprintf("%s-%03d", strings.Repeat("r", 56), i), strings.Repeat("r", 512), strings.Repeat("v", 128)
		why.Requester, why.Owner = strings.Repeat("q", 61)+fmt.Sprintf("%03d", i), strings.Repeat("o", 64)
		why.Service, why.Environment, why.ByRelease = strings.Repeat("s", 40), strings.Repeat("e", 40), why.GetRelease()
		q = stands(h, procedure.DecideQuarantine(q, proceduretest.Digest('a'), why), nil)
	}
	for i := range 127 {
		put(i)
	}
	oldest := q.State.GetReasons()[127]
	if n := len(q.State.GetReasons()); n != 128 || proto.Size(q.State) > 52<<10 || oldest.GetRelease() != h.Release || oldest.GetRequester() != "rita" ||
		oldest.GetReason() != "" || !oldest.GetCutShort() || q.State.GetReasons()[15].GetReason() == "" || q.State.GetReasons()[16].GetReason() != "" {
		t.Errorf("%d reasons in %d bytes, the oldest %v", n, proto.Size(q.State), oldest)
	}
	if !strings.Contains(q.Sentence(), "127 more releases did so") {
		t.Error(q.Sentence())
	}
	// Who asked for the first of them lets it out no more than who asked for the last.
	out := &releasev1.QuarantineCleared{State: proto.CloneOf(q.State)}
	for by, held := range map[string]bool{"rita": true, "cleo": false} {
		out.State.Clearance = &releasev1.Clearance{ProposedBy: "dan", Reason: "r", ConfirmedBy: by, Comment: "c"}
		if got := stands(h, &releasev1.Event{Data: &releasev1.Event_QuarantineCleared{QuarantineCleared: out}}, proceduretest.Person(by)); got.Held != held {
			t.Errorf("let out by %s it is held: %t", by, got.Held)
		}
	}
	// What is forgotten is counted, and lets nobody let it out.
	put(127)
	if q.State.GetForgotten() != 1 || len(q.State.GetReasons()) != 128 || !strings.Contains(q.Sentence(), "128 more releases did so") {
		t.Errorf("%d reasons, %d forgotten: %s", len(q.State.GetReasons()), q.State.GetForgotten(), q.Sentence())
	}
	asked, err := procedure.DecideProposal(q, proceduretest.Person("dan"), "the check was wrong", h.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := procedure.DecideClearance(stands(h, asked, proceduretest.Person("dan")), nil, proceduretest.Person("cleo"), nil, "fine", h.Now); !errors.Is(err, procedure.ErrForgotten) {
		t.Errorf("let out though releases are forgotten: %v", err)
	}
	one := proto.CloneOf(q.State)
	if one.Reasons = one.GetReasons()[:1]; !(procedure.Quarantined{State: one, Held: true}).Without(one.GetReasons()[0].GetRelease()).Held {
		t.Error("what is forgotten holds nothing")
	}
	if own := quarantined(h).Without(h.Release); own.Held {
		t.Error("a release is held up by itself")
	}
	if !q.Without(h.Release).Held {
		t.Error("other releases are forgotten with it")
	}
	long := failed(t)
	long.Entries[len(long.Entries)-1].Event.GetVerificationFailed().GetVerification().Reason = strings.Repeat("é", 5000)
	if got := procedure.WhyQuarantined(long.State(), long.Entries, long.Now); len(got.GetReason()) > 512 {
		t.Errorf("a reason of %d bytes", len(got.GetReason()))
	}
}

func TestAScopeIsBypassedInAnEmergencyAlone(t *testing.T) {
	for _, test := range []struct {
		change func(*releasev1.Request)
		counts bool
	}{{func(*releasev1.Request) {}, false}, {proceduretest.Emergency, true}} {
		h := proceduretest.New(proceduretest.Request(test.change))
		h.To(t, procedure.PhaseScope)
		e := proceduretest.Scope(h.State())
		e.GetScopeValidated().Bypassed = []string{procedure.QuarantineBypass("shop")}
		s, err := procedure.Evolve(h.State(), h.Next(nil, e))
		if (err == nil) != test.counts || test.counts && !slices.Contains(s.Bypassed, "quarantine of artifact shop") {
			t.Errorf("%v, bypassed %v", err, s.Bypassed)
		}
	}
}
