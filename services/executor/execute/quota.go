package execute

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ruleQuota names an emergency too many, as step 3 does.
const ruleQuota = "emergency.quota"

// maxLooked bounds how many releases are read for it, of those that the targets carried and
// of those on the list, each: an emergency does not wait for the history of years.
const maxLooked = 256

// beyond returns the quota that an emergency is beyond, and how many came before it; nil
// where it is within (N-04). It counts what step 3 counts: emergencies of the service in the
// environment that were accepted before this one, within the period, and were authorized or
// may still be. It does not take the approval service's list for it: whoever could write
// that could leave some out. So it reads every release that the targets of the service
// carried within the period, by their own histories and by those of the releases before,
// which other services wrote, and after that what the list names. The list has a bound of
// its own: however long somebody makes it, it only adds to what the targets show.
func (s shell) beyond(ctx context.Context, t reactor.Task, document *policyv1.Procedure) (*policyv1.EmergencyQuota, int, error) {
	quota := document.GetEmergency().GetQuota()
	if quota == nil || !t.State.Emergency() {
		return nil, 0, nil
	}
	since, used := t.State.RequestedAt.Add(-quota.GetPeriod().AsDuration()), map[string]bool{}
	carried, listed := s.walk(t, since, used), s.walk(t, since, used)
	r := t.State.Request
	for _, target := range document.GetTargets() {
		if target.GetEnvironment() != r.GetEnvironment() || !slices.Contains(target.GetServices(), r.GetService()) {
			continue
		}
		now, err := standing.ReadTarget(ctx, s.Store, target.GetId())
		if err != nil {
			return nil, 0, err
		}
		carried.carried(now.State)
	}
	list, err := standing.ReadService(ctx, s.Store, r.GetEnvironment(), r.GetService())
	if err != nil {
		return nil, 0, err
	}
	for _, e := range list.Emergencies {
		listed.add(e.GetRelease())
	}
	for _, id := range list.Open {
		listed.add(id)
	}
	for _, w := range []*walk{carried, listed} {
		if err := w.run(ctx); err != nil {
			return nil, 0, err
		}
	}
	if len(used) < int(quota.GetCount()) {
		return nil, len(used), nil
	}
	return quota, len(used), nil
}

// walk goes from release to release, to each once.
type walk struct {
	shell
	task  reactor.Task
	since time.Time
	next  []string
	seen  map[string]bool
	// used are the emergencies that count.
	used map[string]bool
}

func (s shell) walk(t reactor.Task, since time.Time, used map[string]bool) *walk {
	return &walk{shell: s, task: t, since: since, seen: map[string]bool{t.State.Release: true}, used: used}
}

// add notes a release that is to be read, unless it was noted before.
func (w *walk) add(release string) {
	if !w.seen[release] {
		w.seen[release] = true
		w.next = append(w.next, release)
	}
}

// carried notes the releases that a target carried since then.
func (w *walk) carried(s *releasev1.TargetState) {
	for _, d := range append([]*releasev1.Deployment{s.GetDeployed(), s.GetPrevious()}, s.GetRolledBack()...) {
		if d.GetTime().AsTime().After(w.since) {
			w.add(d.GetRelease())
		}
	}
}

// run reads the releases, and those to which they lead, as far as its bound goes.
func (w *walk) run(ctx context.Context) error {
	for looked := 0; len(w.next) > 0 && looked < maxLooked; looked++ {
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step reads one release. A history that somebody made too long is read as far as it
// goes: what the release was stands at its beginning.
func (w *walk) step(ctx context.Context) error {
	id := w.next[0]
	w.next = w.next[1:]
	h, err := w.Store.Beginning(ctx, procedure.Aggregate(id))
	if errors.Is(err, envelope.ErrSubject) {
		return nil // No release has such a name, and it must not keep an emergency waiting.
	}
	if err != nil {
		return err
	}
	s, _ := procedure.Fold(id, h.Entries)
	for _, target := range s.Targets {
		w.carried(target.GetState())
	}
	if precedes(s, accepted(h.Entries), w.task.State, accepted(w.task.History.Entries), w.since) {
		w.used[id] = true
	}
	return nil
}

// precedes reports whether one release, accepted at that place in the stream, is an emergency
// of the same service that counts for the quota of its own, accepted at another. Both the
// place and the time have to say so, as for step 3: a server's clock may be set back.
func precedes(s procedure.State, at uint64, own procedure.State, ownAt uint64, since time.Time) bool {
	over := s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && s.Authorized == nil
	return s.Emergency() && !over && at < ownAt && s.RequestedAt.After(since) && !s.RequestedAt.After(own.RequestedAt) &&
		s.Request.GetService() == own.Request.GetService() && s.Request.GetEnvironment() == own.Request.GetEnvironment()
}

// accepted is the place of a release's request in the stream: the store decides which of two
// was first.
func accepted(entries []procedure.Entry) uint64 {
	for _, e := range entries {
		if e.Event.GetRequested() != nil {
			return e.Sequence
		}
	}
	return 0
}
