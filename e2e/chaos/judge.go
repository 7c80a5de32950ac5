package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Verdict is what the judge counted.
type Verdict struct {
	Lost, Double, Unapproved, Early, Stuck, Gap int
	// Unhit are failpoints that no process passed.
	Unhit []string
	// Notes say of each thing that was counted what it was.
	Notes []string
	// Outcomes counts how releases ended.
	Outcomes map[string]int
}

// String is the verdict's one line.
func (v Verdict) String() string {
	return fmt.Sprintf("lost=%d double=%d unapproved=%d early=%d stuck=%d gap=%d", v.Lost, v.Double, v.Unapproved, v.Early, v.Stuck, v.Gap)
}

// Clean reports whether no promise was broken and every failpoint was passed.
func (v Verdict) Clean() bool { return v.Broken() == "" && len(v.Unhit) == 0 }

// Broken names the counts that are not zero; empty where all are.
func (v Verdict) Broken() string {
	var out []string
	for _, word := range strings.Fields(v.String()) {
		if !strings.HasSuffix(word, "=0") {
			out = append(out, word)
		}
	}
	return strings.Join(out, " ")
}

// bench is the judge at work: what it has read, and what it makes of it.
type bench struct {
	Verdict

	world    *world
	messages []message
	// entries are the authentic events by aggregate, in the order of the stream.
	entries map[string][]procedure.Entry
	// states are the releases at the end, counted the events that count of each.
	states  map[string]procedure.State
	counted map[string][]procedure.Entry
	// artifacts tells the release by what it placed.
	artifacts map[string]string
}

// judge reads the streams, the database and the ledgers, and nothing else.
func judge(ctx context.Context, js jetstream.JetStream, databaseURL string, ring *envelope.Keyring, w *world) (Verdict, error) {
	b := &bench{
		world: w, entries: map[string][]procedure.Entry{}, states: map[string]procedure.State{},
		counted: map[string][]procedure.Entry{}, artifacts: map[string]string{},
	}
	b.Outcomes = map[string]int{}
	var err error
	if b.messages, err = readAll(ctx, js, eventstore.StreamEvents); err != nil {
		return b.Verdict, err
	}
	b.fold(ring)
	b.releases()
	b.deadlines()
	b.locks()
	if err := b.requests(ctx, js); err != nil {
		return b.Verdict, err
	}
	if err := b.targets(); err != nil {
		return b.Verdict, err
	}
	if err := b.record(ctx, databaseURL); err != nil {
		return b.Verdict, err
	}
	return b.Verdict, nil
}

// readAll reads a stream from its first to its last message.
func readAll(ctx context.Context, js jetstream.JetStream, stream string) ([]message, error) {
	newest, err := last(ctx, js, stream)
	if err != nil {
		return nil, err
	}
	var all []message
	for sequence := uint64(1); sequence <= newest; sequence++ {
		// A message that is not there was dropped by the stream's own limits, which
		// only the stream of answers has.
		if m, ok := read(ctx, js, stream, sequence); ok {
			all = append(all, m)
		}
	}
	return all, ctx.Err()
}

// count adds to a count and says why.
func (b *bench) count(n *int, name, format string, args ...any) {
	*n++
	if len(b.Notes) < 40 {
		b.Notes = append(b.Notes, name+": "+fmt.Sprintf(format, args...))
	}
}

// fold verifies every message and folds every release.
func (b *bench) fold(ring *envelope.Keyring) {
	for _, m := range b.messages {
		e, _, err := envelope.Open(ring, m.Subject, m.Header, m.Data, m.Sequence, m.Stored)
		if err == nil {
			b.entries[e.Event.GetAggregate()] = append(b.entries[e.Event.GetAggregate()], e)
		}
	}
	for aggregate, all := range b.entries {
		release, ok := strings.CutPrefix(aggregate, "rel.")
		if !ok {
			continue
		}
		state, rejected := procedure.Fold(release, all)
		b.states[release] = state
		for _, e := range all {
			if !slices.ContainsFunc(rejected, func(r procedure.Rejection) bool { return r.Entry.Sequence == e.Sequence }) {
				b.counted[release] = append(b.counted[release], e)
			}
		}
		for _, a := range state.Request.GetArtifacts() {
			b.artifacts[a.GetLocation()] = release
		}
	}
}

// releases counts those that did not come to their end.
func (b *bench) releases() {
	for release, s := range b.states {
		b.Outcomes[strings.ToLower(strings.TrimPrefix(s.Outcome.String(), "OUTCOME_"))]++
		if s.Phase != procedure.PhaseClosed {
			b.count(&b.Stuck, "stuck", "%s is in phase %s after %d events (last: %s)", release, s.Phase, s.Events, lastType(b.counted[release]))
		}
	}
}

func lastType(all []procedure.Entry) string {
	if len(all) == 0 {
		return "none"
	}
	return procedure.TypeOf(all[len(all)-1].Event)
}

// locks counts targets that one release locked while another one held them. Events
// of a target count in a chain: each names the one before.
func (b *bench) locks() {
	for aggregate, all := range b.entries {
		if !strings.HasPrefix(aggregate, "tgt.") {
			continue
		}
		var head procedure.Head
		holder := ""
		for _, e := range all {
			if p := e.Event.GetPrevious(); p.GetSequence() != head.Sequence || head.Sequence != 0 && !slices.Equal(p.GetSha256(), head.Digest[:]) {
				if e.Event.GetTargetLocked() != nil && b.used(e) {
					b.count(&b.Double, "double", "%s: the lock of %s at %d follows %d and not %d, and was used",
						aggregate, e.Event.GetTargetLocked().GetRelease(), e.Sequence, p.GetSequence(), head.Sequence)
				}
				continue
			}
			head = procedure.Head{Sequence: e.Sequence, Digest: e.Digest}
			switch d := e.Event.GetData().(type) {
			case *releasev1.Event_TargetLocked:
				if by := d.TargetLocked.GetRelease(); holder != "" && holder != by && b.holds(holder, e) {
					b.count(&b.Double, "double", "%s is locked by %s at %d while %s holds it", aggregate, by, e.Sequence, holder)
				}
				holder = d.TargetLocked.GetRelease()
			case *releasev1.Event_TargetUnlocked:
				holder = ""
			}
		}
	}
}

// holds reports whether a release holds the target that another one locked: it has
// claimed it, with a claim that counts, and has not let it go.
func (b *bench) holds(release string, lock procedure.Entry) bool {
	target := strings.TrimPrefix(lock.Event.GetAggregate(), "tgt.")
	claimed := false
	for _, e := range b.counted[release] {
		if e.Sequence > lock.Sequence {
			break
		}
		claimed = claimed || slices.Contains(e.Event.GetExecutionClaimed().GetTargets(), target)
		if e.Event.GetTargetsReleased() != nil {
			return false
		}
	}
	return claimed
}

// used reports whether a target changed something under that lock.
func (b *bench) used(e procedure.Entry) bool {
	t := b.world.target(strings.TrimPrefix(e.Event.GetAggregate(), "tgt."))
	effects, _ := b.world.effects(t)
	return slices.ContainsFunc(effects, func(x effect) bool { return x.Fence.Sequence == e.Sequence })
}
