package verify

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// locked and unlocked are events of a target.
func locked(release string, minute int) procedure.Entry {
	return procedure.Entry{Stored: at(minute), Event: &releasev1.Event{Data: &releasev1.Event_TargetLocked{TargetLocked: &releasev1.TargetLocked{Release: release}}}}
}

func unlocked(release string, minute int) procedure.Entry {
	return procedure.Entry{Stored: at(minute), Event: &releasev1.Event{Data: &releasev1.Event_TargetUnlocked{TargetUnlocked: &releasev1.TargetUnlocked{Release: release}}}}
}

// TestWhoHeldATarget: others than the release itself, each once however often it was claimed,
// until it was let go or somebody else had it.
func TestWhoHeldATarget(t *testing.T) {
	held := func(release string, from int, to ...int) check.Disturbance {
		d := check.Disturbance{Target: "eu1", Release: release, What: check.ReleaseUnderWay, From: at(from)}
		for _, minute := range to {
			d.To = at(minute)
		}
		return d
	}
	events := []procedure.Entry{
		locked("a", 0), locked("a", 1), unlocked("a", 2), locked("own", 3), unlocked("own", 4), locked("b", 5), locked("own", 6), unlocked("own", 7), locked("c", 8),
	}
	want := []check.Disturbance{held("a", 0, 2), held("b", 5, 6), held("c", 8)}
	if got := holdings("eu1", "own", events); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestHowFarBackATargetIsRead: until it is known since when the last other release had it that
// had it before.
func TestHowFarBackATargetIsRead(t *testing.T) {
	events := []procedure.Entry{
		locked("z", 0), unlocked("z", 1), locked("a", 2), locked("a", 3), unlocked("a", 4), locked("own", 5), unlocked("own", 6), locked("b", 7), unlocked("b", 8),
	}
	for from, want := range map[int]int{9: 6, 8: 6, 7: 1, 4: 1, 3: 1, 2: 0, 0: 0} {
		enough, first := until("own", at(from)), 0
		for i, e := range slices.Backward(events) {
			if first = i; enough(e) {
				break
			}
		}
		if first != want {
			t.Errorf("from minute %d: read from event %d, want %d", from, first, want)
		}
	}
}

// TestATargetOfManyReleasesIsComparedAsAnyOther: who held it is read from its end, however many
// releases there were before.
func TestATargetOfManyReleasesIsComparedAsAnyOther(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	executor := eventstoretest.Store(n, procedure.ServiceExecutor)
	var head procedure.Head
	for i := range eventstore.MaxHistory + 20 {
		event := locked(fmt.Sprintf("shop-%d", i/2), 0).Event
		if i%2 == 1 {
			event = unlocked(fmt.Sprintf("shop-%d", i/2), 0).Event
		}
		stored, err := executor.Append(t.Context(), eventstore.Draft{
			Aggregate: procedure.TargetAggregate("eu1"), Expect: head.Sequence, Previous: head.Previous(), Event: event,
		})
		if err != nil {
			t.Fatal(err)
		}
		head = procedure.Head{Sequence: stored[0].Sequence, Digest: stored[0].Digest}
	}
	read := 0
	entries, err := executor.Tail(t.Context(), procedure.TargetAggregate("eu1"), func(procedure.Entry) bool { read++; return read == 6 })
	if err != nil {
		t.Fatal(err)
	}
	disturbed := shell{histories: eventstoretest.Store(n, procedure.ServiceValidator)}.disturbed("own")
	last := len(entries) - 1
	from, to := entries[last-4].Stored, entries[last].Stored
	got, err := disturbed(t.Context(), "eu1", from, to)
	want := []check.Disturbance{
		{Target: "eu1", Release: "shop-1008", What: check.ReleaseUnderWay, From: entries[last-3].Stored.UTC(), To: entries[last-2].Stored.UTC()},
		{Target: "eu1", Release: "shop-1009", What: check.ReleaseUnderWay, From: entries[last-1].Stored.UTC(), To: entries[last].Stored.UTC()},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

// TestAnIncidentInTheTimeOfABaseline: one that was open then, whatever became of it since.
func TestAnIncidentInTheTimeOfABaseline(t *testing.T) {
	const cause = releasev1.Cause_CAUSE_VALIDATION_FAILED
	h := proceduretest.New(proceduretest.Request())
	h.Now = noon
	h.To(t, procedure.PhaseVerify)
	good := h.Clone()
	h.Do(t, "", proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false))
	failed := h.Now
	h.To(t, procedure.PhaseFollowUp) // It went back, and let its targets go.
	letGo, left := h.Now, h.Clone()
	h.Advance(at(40).Sub(h.Now))
	h.Do(t, "anna", proceduretest.Acknowledge(cause))
	onlyTaken := h.Clone()
	h.Do(t, "anna", proceduretest.CloseIncident(h.State()))
	closed := h.Now
	again := h.Clone()
	again.Advance(time.Hour)
	again.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Orders are lost."}}})
	good.To(t, procedure.PhaseFollowUp)
	atWork := proceduretest.New(proceduretest.Request())
	atWork.Now = noon
	atWork.To(t, procedure.PhaseExecuting)
	atWork.Do(t, "rita", &releasev1.Event{Data: &releasev1.Event_ImpactReported{ImpactReported: &releasev1.ImpactReported{Description: "Orders are lost."}}})
	seen := atWork.Now
	atWork.Advance(at(30).Sub(atWork.Now))
	atWork.To(t, procedure.PhaseVerify)
	for name, test := range map[string]struct {
		h        *proceduretest.History
		from, to time.Time
		want     bool
	}{
		"none":                                     {good, noon, at(60), false},
		"raised afterwards":                        {h, noon, failed, false},
		"raised then":                              {h, noon, letGo, true},
		"raised as it began":                       {h, failed, at(10), true},
		"open all the time, and closed since":      {h, at(15), at(35), true},
		"open at first, and closed then":           {h, at(15), at(45), true},
		"closed as it began":                       {h, closed, at(60), false},
		"closed before":                            {h, at(45), at(60), false},
		"taken on by nobody":                       {left, at(45), at(60), true},
		"taken on, and closed by nobody":           {onlyTaken, at(45), at(60), true},
		"closed before, and another one since":     {again, at(45), at(60), false},
		"open all the time, and another one since": {again, at(15), at(35), true},
		"closed before, and another one then":      {again, at(45), at(120), true},
		"raised before it was known what began":    {atWork, noon, at(20), true},
		"raised after what is compared with":       {atWork, noon, seen, false},
	} {
		if _, got := incidentIn(test.h.Release, test.h.Entries, test.from, test.to); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestWhatIsComparedWith: before a wave, what no wave has changed, and the wave before; on the
// way back only what was not touched, and before.
func TestWhatIsComparedWith(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1"}, []string{"eu2", "eu3"}, []string{"us1"})))
	h.To(t, procedure.PhaseVerify)
	h.To(t, procedure.PhaseExecuting)
	h.To(t, procedure.PhaseVerify)
	state := h.State()
	r := of(state)
	if !slices.Equal(r.Unchanged, []string{"us1"}) || !slices.Equal(r.Earlier, []string{"eu1"}) ||
		!r.Began["eu1"].Equal(state.WavesBegan[0]) || !r.Began["eu3"].Equal(state.WavesBegan[1]) || !r.Began["us1"].IsZero() {
		t.Errorf("%+v", r)
	}
	state.Phase = procedure.PhaseVerifyRollback
	if r := of(state); !slices.Equal(r.Unchanged, []string{"us1"}) || len(r.Earlier) > 0 {
		t.Errorf("on the way back: %+v", r)
	}
}
