package execute_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// freeze is a procedure document with one freeze that is in effect for that time.
func freeze(name string, from, until time.Time) string {
	return sitetest.Document("freezes:\n" + window(name, from, until))
}

// window is one entry of a procedure document's freezes.
func window(name string, from, until time.Time) string {
	return fmt.Sprintf("  - name: %s\n    set_by: carol\n    reason: because\n    once:\n      start: %s\n      end: %s\n",
		name, from.UTC().Format(time.RFC3339Nano), until.UTC().Format(time.RFC3339Nano))
}

func TestNothingStartsOnceTheApprovalIsOver(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(r *sitetest.Release)
		over   bool
	}{
		{"an approval that counts for an hour", func(*sitetest.Release) {}, false},
		{"an approval that is over before a slow clock knows", func(r *sitetest.Release) { r.Approved = 4 * time.Second }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			test.before(r)
			r.To(t, procedure.PhaseExecute)
			e := w.Executor(t, "one", nil)
			events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
			if err != nil || (len(events) == 0) != test.over || (w.Standing(t, "eu1").LockedBy == "") != test.over {
				t.Errorf("%v, %v; target held by %q", events, err, w.Standing(t, "eu1").LockedBy)
			}
		})
	}
}

// TestAnApprovalThatExpiresBeforeTheClaim has the executor look in time, and the claim
// arrive too late; and the other way round.
func TestAnApprovalThatExpiresBeforeTheClaim(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	task := r.Task(t, 1)
	for _, over := range []time.Time{task.State.Authorized.GetValidUntil().AsTime(), task.State.Requested.GetStartBy().AsTime()} {
		task.Now = over
		if events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), task); err != nil || len(events) != 0 {
			t.Errorf("at %s: %v, %v", over, events, err)
		}
	}
	if w.Standing(t, "eu1").LockedBy != "" || r.State(t).Started() {
		t.Error("something was claimed")
	}
}

// TestAClaimThatDoesNotCountGivesItsLocksBack: its locks were stored beside it, and
// nobody would ever let the targets go.
func TestAClaimThatDoesNotCountGivesItsLocksBack(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		w := sitetest.On(t, n, sitetest.Noop("eu1"))
		w.Carries(t, "eu1", 1)
		r := w.Release(t)
		r.To(t, procedure.PhaseExecute)
		bad := proceduretest.Claim(r.State(t), "one", time.Now())
		bad.GetExecutionClaimed().Attempt = 7
		r.Append(t, "", bad)
		w.Lock(t, "eu1", r.ID, "one")
		before := w.Standing(t, "eu1").State

		e := w.Executor(t, "one", nil)
		step := execute.New(e.Site, time.Now)
		events, err := e.Turn(t.Context(), step, r.Task(t, 1))
		if err != nil || len(events) != 1 || events[0].GetTargetUnlocked() == nil {
			t.Fatalf("%v, %v; want the target let go", events, err)
		}
		if now := w.Standing(t, "eu1"); now.LockedBy != "" || now.State.GetGeneration() != before.GetGeneration() || now.State.GetDeployed().GetDigest() != sitetest.DigestOf(1) {
			t.Errorf("target held by %q: %v", now.LockedBy, now.State)
		}
		// It does not claim again and again what the record will not take.
		if events, err := e.Turn(t.Context(), step, r.Task(t, 1)); !errors.Is(err, site.ErrNotCounted) {
			t.Errorf("%v, %v", events, err)
		}
	})
}

func TestALockThatNobodyHoldsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	gone := w.Release(t, proceduretest.Key("gone"))
	gone.To(t, procedure.PhaseExecute)
	w.Lock(t, "eu1", gone.ID, "nobody")
	gone.Do(t, "rita", proceduretest.Withdraw())
	r := w.Release(t, sitetest.Version(3))
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	r.Reaches(t, procedure.PhaseVerify)
	if w.Running(t, "eu1") != 3 {
		t.Errorf("version %d", w.Running(t, "eu1"))
	}
}

// TestNothingStartsWhoseWaiverHasExpired: nobody answers any more for a gate that is not
// satisfied, so the release has to be asked for again.
func TestNothingStartsWhoseWaiverHasExpired(t *testing.T) {
	for _, test := range []struct {
		left    time.Duration
		refused bool
	}{{time.Hour, false}, {4 * time.Second, true}} {
		w := sitetest.New(t, sitetest.Noop("eu1"))
		r := w.Release(t)
		r.To(t, procedure.PhaseGates)
		r.Do(t, "", proceduretest.Waived(r.State(t), "tests", "anna", time.Now().Add(test.left)))
		r.To(t, procedure.PhaseExecute)
		e := w.Executor(t, "one", nil)
		events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil || len(events) == 0 {
			t.Fatalf("%v, %v", events, err)
		}
		findings := events[0].GetExecutionRefused().GetFindings()
		if (len(findings) == 1 && findings[0].GetRule() == "waiver.expired" && strings.Contains(findings[0].GetMessage(), "anna answered until")) != test.refused {
			t.Errorf("with %s left: %v", test.left, events)
		}
		if (w.Standing(t, "eu1").LockedBy == "") != test.refused {
			t.Errorf("with %s left, the target is held by %q", test.left, w.Standing(t, "eu1").LockedBy)
		}
	}
}

func TestAnArtifactThatChangedAfterApprovalIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(t *testing.T, path string)
		why    error
	}{
		{"other content", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("malware"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, artifact.ErrDigest},
		{"gone", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, artifact.ErrNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			test.change(t, filepath.Join(w.Artifacts(), sitetest.Location(2)))
			w.Run(t, "one", execute.New)
			s := r.Reaches(t, procedure.PhaseRecord)
			refused := r.Find(t, "execution_refused").GetExecutionRefused().GetFindings()
			if s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || len(refused) != 1 || refused[0].GetRule() != "artifact.changed" ||
				!strings.Contains(refused[0].GetMessage(), test.why.Error()) {
				t.Errorf("outcome %s: %v", s.Outcome, refused)
			}
			if len(w.Effects(t, "eu1", r.ID)) != 0 || w.Standing(t, "eu1").LockedBy != "" {
				t.Error("the target was touched")
			}
		})
	}
}

func TestARegistryThatIsDownDelaysTheStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	if err := os.Rename(w.Artifacts(), w.Artifacts()+".away"); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	if events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); !errors.Is(err, artifact.ErrUnavailable) {
		t.Fatalf("%v, %v", events, err)
	}
	if err := os.Rename(w.Artifacts()+".away", w.Artifacts()); err != nil {
		t.Fatal(err)
	}
	e.Start(t, execute.New)
	r.Reaches(t, procedure.PhaseVerify)
}

func TestAnExecutorWithoutTheDriverRefuses(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu2"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	s := r.Reaches(t, procedure.PhaseRecord)
	if !strings.Contains(s.EndReason, "target.unreachable") {
		t.Errorf("ended: %s", s.EndReason)
	}
}

func TestAFreezeThatWasDeclaredAfterTheApprovalHoldsTheStart(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	until := time.Now().Add(10 * time.Second)
	w.Activate(t, freeze("outage", time.Now().Add(-time.Hour), until))
	w.Run(t, "one", execute.New)
	s := r.Reaches(t, procedure.PhaseHeld)
	if len(s.Holds) != 1 || s.Holds[0].GetSubject() != "outage" || !s.HeldUntil.Equal(until) || s.Started() {
		t.Errorf("held until %s (want %s) for %v", s.HeldUntil, until, s.Holds)
	}
	r.Resume(t)
	r.Reaches(t, procedure.PhaseVerify)
	if story := r.Story(t); story != "start_held deadline_passed execution_claimed execution_finished" {
		t.Errorf("story %q", story)
	}
	started := r.State(t).Result("eu1").GetStarted().AsTime()
	if started.Before(until) {
		t.Errorf("started at %s, within the freeze until %s", started, until)
	}
}

// The evening ends in the weekend: both are named, and the start is after both.
func TestAFreezeThatBeginsBeforeAnotherEndsIsNamedToo(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	now := time.Now()
	w.Activate(t, sitetest.Document("freezes:\n"+window("evening", now.Add(-time.Hour), now.Add(time.Hour))+
		window("weekend", now.Add(30*time.Minute), now.Add(72*time.Hour))))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	s := r.Reaches(t, procedure.PhaseHeld)
	if len(s.Holds) != 2 || s.Holds[0].GetSubject() != "evening" || s.Holds[1].GetSubject() != "weekend" ||
		!s.HeldUntil.Equal(now.Add(72*time.Hour)) {
		t.Errorf("held until %s for %v", s.HeldUntil, s.Holds)
	}
}

func TestTheReleasesOwnFreezeHoldsItToo(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Digest = w.Keep(t, freeze("holidays", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)))
	w.Activate(t, sitetest.Document("")) // lifted for those to come
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	if s := r.Reaches(t, procedure.PhaseHeld); s.Holds[0].GetSubject() != "holidays" {
		t.Errorf("held for %v", s.Holds)
	}
}

func TestNothingStartsBeforeItsTime(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	at := time.Now().Add(10 * time.Second)
	r := w.Release(t, func(r *releasev1.Request) { r.NotBefore = timestamppb.New(at) })
	r.To(t, procedure.PhaseExecute)
	w.Run(t, "one", execute.New)
	if s := r.Reaches(t, procedure.PhaseHeld); s.Holds[0].GetRule() != "not_before" || !s.HeldUntil.Equal(at) {
		t.Errorf("held until %s for %v", s.HeldUntil, s.Holds)
	}
	r.Resume(t)
	s := r.Reaches(t, procedure.PhaseVerify)
	if started := s.Result("eu1").GetStarted().AsTime(); started.Before(at) {
		t.Errorf("started at %s, before %s", started, at)
	}
}

// TestWhoseApproversHaveLeftDoesNotStart: what was approved by somebody who is not in
// the group any more is to be approved by somebody who is.
func TestWhoseApproversHaveLeftDoesNotStart(t *testing.T) {
	t.Parallel()
	ben := func(more string) string {
		return strings.Replace(sitetest.Document(""), "{id: ben, ", "{id: ben, "+more+", ", 1)
	}
	for _, test := range []struct {
		name, document string
		starts         bool
	}{
		{"another document with the same people", sitetest.Document("# new\n"), true},
		{"who left the group", sitetest.Without("ben"), false},
		{"who left", strings.Replace(sitetest.Document(""), "{id: ben, ", "{id: ben, inactive: true, ", 1), false},
		{"who turned out to have asked for it", ben("aliases: [rita]"), false},
		{"who turned out to own it", ben("aliases: [otto]"), false},
		{"who turned out to have written it, by what only the evidence says", ben("aliases: [alan]"), false},
		{"who has another account that has no part in it", ben("aliases: [benedict]"), true},
		{"who is not known any more", strings.Replace(sitetest.Document(""), "  - {id: ben, name: ben}\n", "", 1), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			r := w.Release(t)
			r.To(t, procedure.PhaseExecute)
			w.Activate(t, test.document)
			e := w.Executor(t, "one", nil)
			if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1)); err != nil {
				t.Fatal(err)
			}
			s := r.State(t)
			f := r.Find(t, "execution_refused").GetExecutionRefused().GetFindings()
			if s.Started() != test.starts || !test.starts && (len(f) != 1 || f[0].GetRule() != "approval.person" || f[0].GetSubject() != "ben") {
				t.Errorf("in phase %s, %s: %v", s.Phase, s.EndReason, f)
			}
		})
	}
}
