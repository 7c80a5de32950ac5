package procedure_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestAWayBackIsNamedAfterItsRelease(t *testing.T) {
	release := procedure.ReleaseID("production", "shop", "k")
	if got, n, ok := procedure.RollbackOf(procedure.RollbackID(release, 12)); got != release || n != 12 || !ok {
		t.Errorf("%s, %d, %t", got, n, ok)
	}
	if !procedure.ValidRelease(procedure.RollbackID(release, 9999)) {
		t.Error("nobody could ask for it")
	}
	for _, none := range []string{release, "", release + "-rb0", release + "-rb", release + "-rb01", release + "-rb12345", "-rb1", release + "-rb1x", release + "-RB1"} {
		if of, n, ok := procedure.RollbackOf(none); ok {
			t.Errorf("%q is way back %d of %q", none, n, of)
		}
	}
}

// goesBack brings a release to where its validation failed and it goes back.
func goesBack(t *testing.T, changes ...func(*releasev1.Request)) *proceduretest.History {
	t.Helper()
	h := proceduretest.New(proceduretest.Request(changes...))
	h.To(t, procedure.PhaseVerify)
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	return h
}

// TestAWayBackIsAChangeOfItsOwn with a beginning, executors and an outcome, whichever way it
// goes; those after the first one are ordered by people (PD-7.1).
func TestAWayBackIsAChangeOfItsOwn(t *testing.T) {
	bad := map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_FAILED}
	unknown := map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN}
	for name, test := range map[string]struct {
		changes []func(*releasev1.Request)
		goes    func(t *testing.T, h *proceduretest.History)
		want    []releasev1.Outcome
		by      []string
		tries   []uint32
	}{
		"well": {nil, func(t *testing.T, h *proceduretest.History) {}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLED_BACK}, []string{""}, []uint32{1}},
		"taken over": {nil, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseRollingBack)
			h.Do(t, "", proceduretest.Remedy(h.State(), "executor-2", h.Now))
		}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLED_BACK}, []string{""}, []uint32{2}},
		"failed, and once more": {nil, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseRollingBack)
			h.Do(t, "", proceduretest.RolledBack(h.State(), bad))
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ROLL_BACK))
		}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLBACK_FAILED, releasev1.Outcome_OUTCOME_ROLLED_BACK}, []string{"", "eve"}, []uint32{1, 1}},
		"unhealthy": {nil, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseVerifyRollback)
			h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
		}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLBACK_FAILED}, []string{""}, []uint32{1}},
		"nobody knows": {nil, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseRollingBack)
			h.Do(t, "", proceduretest.RolledBack(h.State(), unknown))
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
		}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLBACK_UNKNOWN}, []string{""}, []uint32{1}},
		"somebody looked": {nil, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseRollingBack)
			h.Do(t, "", proceduretest.RolledBack(h.State(), unknown))
			if r := h.State().Rollbacks[0]; r.Outcome != releasev1.Outcome_OUTCOME_ROLLBACK_UNKNOWN || r.Ended != h.Last {
				t.Errorf("while nobody knows: %+v", r)
			}
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_CONFIRM_DONE))
			if r := h.State().Rollbacks[0]; r.Outcome != 0 || r.Ended != 0 || !r.EndedAt.IsZero() {
				t.Errorf("when it goes on: %+v", r)
			}
		}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLED_BACK}, []string{""}, []uint32{1}},
		"none": {[]func(*releasev1.Request){proceduretest.Irreversible}, func(t *testing.T, h *proceduretest.History) {
			h.To(t, procedure.PhaseEscalated)
			h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
		}, []releasev1.Outcome{releasev1.Outcome_OUTCOME_ROLLBACK_UNAVAILABLE}, []string{""}, []uint32{0}},
	} {
		t.Run(name, func(t *testing.T) {
			h := goesBack(t, test.changes...)
			first := h.Last
			test.goes(t, h)
			h.To(t, procedure.PhaseRecord)
			all := h.State().Rollbacks
			if len(all) != len(test.want) {
				t.Fatalf("%+v", all)
			}
			if all[0].Ordered != first {
				t.Errorf("ordered by event %d, want %d", all[0].Ordered, first)
			}
			for i, r := range all {
				if r.Number != uint32(i)+1 || r.Outcome != test.want[i] || r.OrderedBy != test.by[i] || r.Attempts != test.tries[i] || r.Ended <= r.Ordered || r.OrderedAt.IsZero() || r.EndedAt.Before(r.OrderedAt) {
					t.Errorf("%+v, want %s by %q in %d attempts", r, test.want[i], test.by[i], test.tries[i])
				}
				if !slices.Equal(r.Targets, []string{"eu1"}) || r.Begun.IsZero() != (r.Attempts == 0) {
					t.Errorf("took back %v, begun %s", r.Targets, r.Begun)
				}
				if verified := r.Outcome == releasev1.Outcome_OUTCOME_ROLLED_BACK || name == "unhealthy"; r.Executed.IsZero() == verified {
					t.Errorf("%s: all targets were back %s", r.Outcome, r.Executed)
				}
			}
			closes(t, h)
		})
	}
}

// closes lets the record of a release close those of its ways back: all of them as they
// ended.
func closes(t *testing.T, h *proceduretest.History) {
	t.Helper()
	digests := make([]string, len(h.State().Rollbacks))
	for i := range digests {
		digests[i] = proceduretest.Digest('a')
	}
	good := procedure.DecideRecorded(h.State(), proceduretest.Digest('e'), digests...)
	for what, spoil := range map[string]func(r *releasev1.Recorded){
		"of another way back": func(r *releasev1.Recorded) { r.GetRollbacks()[0].Rollback = procedure.RollbackID(h.Release, 9) },
		"of another outcome":  func(r *releasev1.Recorded) { r.GetRollbacks()[0].Outcome = releasev1.Outcome_OUTCOME_SUCCEEDED },
		"as of another head":  func(r *releasev1.Recorded) { r.GetRollbacks()[0].AsOfSequence++ },
		"without a digest":    func(r *releasev1.Recorded) { r.GetRollbacks()[0].RecordDigest = "" },
		"one more":            func(r *releasev1.Recorded) { r.Rollbacks = append(r.Rollbacks, r.GetRollbacks()[0]) },
	} {
		e := procedure.DecideRecorded(h.State(), proceduretest.Digest('e'), digests...)
		spoil(e.GetRecorded())
		if err := h.Clone().Store(h.Next(nil, e)); err == nil {
			t.Errorf("a record that closes one %s counts", what)
		}
	}
	for n := range digests {
		e := procedure.DecideRecorded(h.State(), proceduretest.Digest('e'), digests[:n]...)
		if err := h.Clone().Store(h.Next(nil, e)); err == nil {
			t.Errorf("a record that closes %d of %d counts", n, len(digests))
		}
	}
	h.Do(t, "", good)
	for _, r := range h.State().Rollbacks {
		if r.RecordDigest != proceduretest.Digest('a') || r.Recorded != h.Last {
			t.Errorf("closed: %+v", r)
		}
	}
}

// TestReleasesOfBeforeCloseNoRecordOfAWayBack, because there were none: they are recorded as they
// were, or with all of them where they were under way when there came to be some.
func TestReleasesOfBeforeCloseNoRecordOfAWayBack(t *testing.T) {
	for _, with := range []bool{false, true} {
		h := proceduretest.New(proceduretest.Request())
		asked := proceduretest.Requested(h.Asked, h.Now)
		asked.GetRequested().ReasonsDemanded = false
		h.Do(t, "", asked)
		h.To(t, procedure.PhaseVerify)
		h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
		h.To(t, procedure.PhaseRecord)
		var digests []string
		want := procedure.Rollback{}
		if with {
			digests = []string{proceduretest.Digest('a')}
			want = procedure.Rollback{RecordDigest: digests[0], Recorded: h.Last + 1}
		}
		h.Do(t, "", procedure.DecideRecorded(h.State(), proceduretest.Digest('e'), digests...))
		if r := h.State().Rollbacks[0]; r.RecordDigest != want.RecordDigest || r.Recorded != want.Recorded {
			t.Errorf("%+v", r)
		}
	}
}

// TestEventsOfAWayBackNameIt, and none of another one counts. Those of before it had a name
// have none.
func TestEventsOfAWayBackNameIt(t *testing.T) {
	for _, name := range []string{"", "-rb1", "-rb2"} {
		h := goesBack(t)
		named := func(e *releasev1.Event) *releasev1.Event {
			id := h.Release + name
			if name == "" {
				id = ""
			}
			if e.GetRollbackClaimed() != nil {
				if got := e.GetRollbackClaimed().GetRollback(); got != h.Release+"-rb1" {
					t.Errorf("claimed as %s", got)
				}
				e.GetRollbackClaimed().Rollback = id
			} else {
				if got := e.GetRolledBack().GetRollback(); got != h.Release+"-rb1" {
					t.Errorf("rolled back as %s", got)
				}
				e.GetRolledBack().Rollback = id
			}
			return e
		}
		err := h.Store(h.Next(nil, named(proceduretest.Remedy(h.State(), "executor-1", h.Now))))
		if name == "-rb2" {
			if err == nil || !strings.Contains(err.Error(), "-rb2, not ") {
				t.Errorf("%v", err)
			}
			h.Do(t, "", proceduretest.Remedy(h.State(), "executor-1", h.Now))
		}
		if err := h.Store(h.Next(nil, named(proceduretest.RolledBack(h.State(), nil)))); (err == nil) != (name != "-rb2") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestWaysBackAreOneAfterTheOther in any history: each begins after the one before it has
// ended, at most the last one is under way, and that exactly while the release goes back.
func TestWaysBackAreOneAfterTheOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDriver(t)
		for range rapid.IntRange(10, 80).Draw(t, "length") {
			e, ok := d.next()
			if !ok {
				continue
			}
			before := d.h.State()
			_ = d.h.Store(e)
			s := d.h.State()
			if n := len(s.Rollbacks) - len(before.Rollbacks); n < 0 || n > 1 {
				t.Fatalf("there were %d ways back, and are %d", len(before.Rollbacks), len(s.Rollbacks))
			}
			going := s.Phase == procedure.PhaseRemedy || s.Phase == procedure.PhaseRollingBack || s.Phase == procedure.PhaseVerifyRollback
			for i, r := range s.Rollbacks {
				last := i == len(s.Rollbacks)-1
				if open := r.Outcome == releasev1.Outcome_OUTCOME_UNSPECIFIED; open != (last && going) || open != (r.Ended == 0) {
					t.Fatalf("in phase %s: %+v", s.Phase, s.Rollbacks)
				}
				if i > 0 && r.Ordered <= s.Rollbacks[i-1].Ended {
					t.Fatalf("one begins before the one before it is over: %+v", s.Rollbacks)
				}
				// One that was not available is no way that was gone.
				if r.OrderedBy == "" && slices.ContainsFunc(s.Rollbacks[:i], func(r procedure.Rollback) bool { return r.Attempts > 0 }) {
					t.Fatalf("the machine went back by itself again: %+v", s.Rollbacks)
				}
			}
		}
	})
}
