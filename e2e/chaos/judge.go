package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Verdict is what the judge counted.
type Verdict struct {
	Lost, Double, Unapproved, Early, Stuck, Gap int
	// Asked is how many releases the bus was asked for, Settled how many of them came to
	// their end.
	Asked, Settled int
	// Forged is how many releases an executor refused that somebody had authorized in
	// other people's names.
	Forged int
	// Unhit are failpoints that no process passed, Missing what else was to happen in the
	// run and did not.
	Unhit, Missing []string
	// Notes say of each thing that was counted what it was.
	Notes []string
	// Outcomes counts how releases ended, Passed how many had an event of a type, Held how
	// often a rule held one.
	Outcomes, Passed, Held map[string]int
}

// String is the verdict's one line.
func (v Verdict) String() string {
	return fmt.Sprintf("lost=%d double=%d unapproved=%d early=%d stuck=%d gap=%d", v.Lost, v.Double, v.Unapproved, v.Early, v.Stuck, v.Gap)
}

// Clean reports whether no promise was broken, every failpoint was passed, and all
// happened that was to happen.
func (v Verdict) Clean() bool { return v.Broken() == "" && len(v.Unhit) == 0 && len(v.Missing) == 0 }

// Counts are the counts by name.
func (v Verdict) Counts() map[string]int {
	return map[string]int{
		"lost": v.Lost, "double": v.Double, "unapproved": v.Unapproved, "early": v.Early, "stuck": v.Stuck, "gap": v.Gap,
	}
}

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
	document *policyv1.Procedure
	messages []message
	// calls are what clients were told; effects, touched and seen what targets had, by
	// target. They were read before the messages, so that whatever they follow from is
	// among these.
	calls   []call
	effects map[string][]effect
	touched map[string][]effect
	seen    map[string][]effect
	// said is what systems around said, oldest first.
	said []saying
	// begun are keys with which something was begun, by target.
	begun map[string]map[string]bool
	// entries are the authentic events by aggregate, in the order of the stream.
	entries map[string][]procedure.Entry
	// states are the releases at the end, counted the events that count of each.
	states  map[string]procedure.State
	counted map[string][]procedure.Entry
	// artifacts tells the release by what it placed.
	artifacts map[string]string
}

// judge reads the streams, the database, the ledgers and the clients' history, and
// nothing else.
func judge(ctx context.Context, js jetstream.JetStream, databaseURL string, ring *envelope.Keyring, w *world) (Verdict, error) {
	b, err := newBench(ctx, js, w)
	if err != nil {
		return Verdict{}, err
	}
	var missing []uint64
	if b.messages, missing, err = readAll(ctx, js, eventstore.StreamEvents); err != nil {
		return b.Verdict, err
	}
	b.holes(eventstore.StreamEvents, missing)
	// Behind the messages: what they follow from was said by then.
	if b.said, err = readWeather(w.dir); err != nil {
		return b.Verdict, err
	}
	b.fold(ring)
	b.always()
	b.releases()
	b.kept(ctx)
	if err := b.requests(ctx, js); err != nil {
		return b.Verdict, err
	}
	return b.Verdict, b.record(ctx, databaseURL, true)
}

// newBench reads what targets and clients have written down.
func newBench(ctx context.Context, js jetstream.JetStream, w *world) (*bench, error) {
	b := &bench{
		world: w, entries: map[string][]procedure.Entry{}, states: map[string]procedure.State{}, counted: map[string][]procedure.Entry{},
		artifacts: map[string]string{}, effects: map[string][]effect{}, touched: map[string][]effect{}, seen: map[string][]effect{}, begun: map[string]map[string]bool{},
	}
	b.Outcomes, b.Passed, b.Held = map[string]int{}, map[string]int{}, map[string]int{}
	text, err := w.procedure()
	if err == nil {
		b.document, err = policy.Parse(text, "procedure.yaml")
	}
	for _, t := range w.plan.Targets {
		if t.Kind == kindConfig {
			continue // They lie in the bucket.
		}
		var wrong [4]error
		b.effects[t.ID], wrong[0] = w.effects(t)
		b.touched[t.ID], wrong[1] = readEffects(w.touchedFile(t))
		if t.Kind == kindHost {
			// Its ledger is written once something is done, and no line before.
			b.touched[t.ID] = b.effects[t.ID]
		}
		b.seen[t.ID], wrong[2] = readEffects(w.seenFile(t))
		b.begun[t.ID], wrong[3] = w.begun(t)
		err = errors.Join(append(wrong[:], err)...)
	}
	if err == nil {
		err = b.readEntries(ctx, js)
	}
	if err == nil {
		// Behind the effects: who asked for them had begun to by then.
		b.calls, err = readHistory(filepath.Join(w.dir, historyName))
	}
	return b, err
}

// always counts what can not become better with time.
func (b *bench) always() {
	b.deadlines()
	b.decisions()
	b.locks()
	b.answers()
	b.targets()
	b.weather()
}

// readAll reads a stream from its first to its last message, and says which are not
// there: of a stream that drops nothing, all must be.
func readAll(ctx context.Context, js jetstream.JetStream, stream string) (all []message, missing []uint64, err error) {
	newest, err := last(ctx, js, stream)
	if err != nil {
		return nil, nil, err
	}
	for sequence := uint64(1); sequence <= newest; sequence++ {
		if m, ok := read(ctx, js, stream, sequence); ok {
			all = append(all, m)
		} else {
			missing = append(missing, sequence)
		}
	}
	return all, missing, ctx.Err()
}

// holes counts messages that a stream had and has no more.
func (b *bench) holes(stream string, missing []uint64) {
	for _, sequence := range missing {
		b.count(&b.Gap, "gap", "message %d of %s is not there any more", sequence, stream)
	}
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
		if refusedAsForged(b.counted[release]) {
			b.Forged++
		}
		for kind := range types(b.counted[release]) {
			b.Passed[kind]++
		}
		b.Outcomes[strings.ToLower(strings.TrimPrefix(s.Outcome.String(), "OUTCOME_"))]++
		if s.Phase != procedure.PhaseClosed {
			b.count(&b.Stuck, "stuck", "%s is in phase %s after %d events (last: %s)", release, s.Phase, s.Events, lastType(b.counted[release]))
		}
	}
}

func types(all []procedure.Entry) map[string]bool {
	out := map[string]bool{}
	for _, e := range all {
		out[procedure.TypeOf(e.Event)] = true
	}
	return out
}

func lastType(all []procedure.Entry) string {
	if len(all) == 0 {
		return "none"
	}
	return procedure.TypeOf(all[len(all)-1].Event)
}
