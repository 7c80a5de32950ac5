package verify

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// of is the release that is looked at, with what its values may be compared with: on the way
// back with targets that were not touched, and with no wave.
func of(state procedure.State) check.Release {
	r := check.Release{
		Service: state.Request.GetService(), Environment: state.Request.GetEnvironment(),
		Began: map[string]time.Time{}, Was: map[string]string{}, Answers: answersOf(state),
	}
	back := state.Phase == procedure.PhaseVerifyRollback
	if back {
		r.Back = state.Entered
	} else {
		r.Images = approvedImages(state)
	}
	for n, wave := range state.Request.GetPlan().GetWaves() {
		for _, id := range wave.GetTargets() {
			r.Was[id] = state.Scoped(id).GetState().GetDeployed().GetDigest()
			if n < len(state.WavesBegan) {
				r.Began[id] = state.WavesBegan[n]
			}
			switch {
			case !slices.Contains(state.Touched, id):
				r.Unchanged = append(r.Unchanged, id)
			case !back && n+1 == int(state.Wave):
				r.Earlier = append(r.Earlier, id)
			}
		}
	}
	return r
}

// disturbed finds which other releases held a target in a span of time, and which of them had an
// incident then. It knows of incidents of the releases that held it then, and of the last one
// before.
func (s shell) disturbed(own string) func(ctx context.Context, target string, from, to time.Time) ([]check.Disturbance, error) {
	if s.histories == nil {
		return nil
	}
	return func(ctx context.Context, target string, from, to time.Time) ([]check.Disturbance, error) {
		events, err := s.histories.Tail(ctx, procedure.TargetAggregate(target), until(own, from))
		if err != nil {
			return nil, fmt.Errorf("read what happened to it: %w", err)
		}
		var out []check.Disturbance
		var releases []string
		for _, held := range holdings(target, own, events) {
			switch {
			case !held.From.Before(to):
				continue
			case !held.To.IsZero() && !held.To.After(from):
				releases = []string{held.Release} // Of those before, the last one.
				continue
			}
			out = append(out, held)
			releases = append(releases, held.Release)
		}
		slices.Sort(releases)
		for _, release := range slices.Compact(releases) {
			h, err := s.histories.Load(ctx, procedure.Aggregate(release))
			if err != nil {
				return nil, fmt.Errorf("read release %s: %w", release, err)
			}
			if x, ok := incidentIn(release, h.Entries, from, to); ok {
				out = append(out, check.Disturbance{Target: target, Release: release, What: check.IncidentUnderWay, From: x.Raised.UTC()})
			}
		}
		return out, nil
	}
}

// until says how far back the events of a target are read, the newest first: until it is known
// since when another release held it that began to before a time.
func until(own string, from time.Time) func(procedure.Entry) bool {
	holder := ""
	return func(e procedure.Entry) bool {
		locked := e.Event.GetTargetLocked()
		switch {
		case holder != "" && (locked != nil && locked.GetRelease() != holder || e.Event.GetTargetUnlocked() != nil):
			return true // What it was before that release had it.
		case holder == "" && locked != nil && locked.GetRelease() != own && e.Stored.Before(from):
			holder = locked.GetRelease()
		}
		return false
	}
}

// holdings are when other releases held a target by these events, in the order of their
// beginning.
func holdings(target, own string, events []procedure.Entry) (all []check.Disturbance) {
	open := -1
	for _, e := range events {
		locked := e.Event.GetTargetLocked()
		if locked == nil && e.Event.GetTargetUnlocked() == nil {
			continue
		}
		if open >= 0 && locked.GetRelease() != all[open].Release {
			all[open].To, open = e.Stored.UTC(), -1
		}
		if locked != nil && locked.GetRelease() != own && open < 0 {
			all = append(all, check.Disturbance{Target: target, Release: locked.GetRelease(), What: check.ReleaseUnderWay, From: e.Stored.UTC()})
			open = len(all) - 1
		}
	}
	return all
}

// incidentIn is an incident of a release that was open in a span of time, by what was known when
// the span ended. What became of it since does not count: that it is taken on by now does not make
// the values of then others.
func incidentIn(release string, entries []procedure.Entry, from, to time.Time) (procedure.Escalation, bool) {
	as := func(of func(stored time.Time) bool) procedure.State {
		end := slices.IndexFunc(entries, func(e procedure.Entry) bool { return !of(e.Stored) })
		if end < 0 {
			end = len(entries)
		}
		state, _ := procedure.Fold(release, entries[:end])
		return state
	}
	if x, ok := procedure.OpenIncident(as(func(stored time.Time) bool { return !stored.After(from) }), nil, false); ok {
		return x, true
	}
	state := as(func(stored time.Time) bool { return stored.Before(to) })
	for _, x := range state.Escalations {
		if state.Damages(x.Cause) && !x.Raised.Before(from) {
			return x, true
		}
	}
	return procedure.Escalation{}, false
}
