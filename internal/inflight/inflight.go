package inflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Rules of what is found: a release of a service that this one depends on, and one of a
// service that depends on this one.
const (
	RuleDependency = "dependency.busy"
	RuleDependent  = "dependent.busy"
)

// Rules are all of them.
var Rules = []string{RuleDependency, RuleDependent}

// Store reads histories and standings.
type Store interface {
	standing.Reader
	Beginning(ctx context.Context, aggregate string) (eventstore.History, error)
}

// Found is one release that stands in the way of another.
type Found struct {
	Rule, Release, Message string
	// Turn reports that it has changed nothing and only goes first; who does not wait for it
	// goes past nothing.
	Turn bool
}

// Hold is the reason to wait for it; nobody knows until when.
func (f Found) Hold() *releasev1.HoldReason {
	return &releasev1.HoldReason{Rule: f.Rule, Subject: f.Release, Message: f.Message}
}

// Called is how it is called out where the release does not wait for it.
func (f Found) Called() *releasev1.Finding {
	return &releasev1.Finding{Rule: f.Rule, Severity: releasev1.Finding_SEVERITY_WARNING, Subject: f.Release, Message: f.Message}
}

// Around is how it is called that an emergency does not wait for that release.
func Around(release string) string { return "release " + release + " in flight" }

// Look is one look at the neighbors of a release.
type Look struct {
	// State is the release that would go on, and Entries are its events.
	State   procedure.State
	Entries []procedure.Entry
	// Documents say which services are neighbors: one is if any of them says so.
	Documents []*policy.Index
	// Now is the time by the server's clock, or later.
	Now time.Time
	// Turn is for how long a release that may start and was asked for earlier goes first;
	// zero: only what has claimed a target is looked at.
	Turn time.Duration
}

// Find returns the releases of neighboring services for which the release has to wait, each
// once, in the order of the documents and of their requests. What an urgent release may go
// around is for the caller to say. A history that somebody made too long is read as far as
// it goes: whoever fills it takes back nothing that has begun, and ends no look with an error.
// Of very many the first MaxFound are named, and of the others how many they are.
func Find(ctx context.Context, store Store, l Look) ([]Found, error) {
	me := progress{state: l.State, requested: first(l.Entries), claimed: claimed(l.State.Release, l.Entries)}
	var out []Found
	for _, n := range l.neighbors() {
		s, err := standing.ReadService(ctx, store, l.State.Request.GetEnvironment(), n.service)
		if err != nil {
			return nil, err
		}
		for _, id := range s.Open {
			if id == l.State.Release || slices.ContainsFunc(out, func(f Found) bool { return f.Release == id }) {
				continue
			}
			h, err := store.Beginning(ctx, procedure.Aggregate(id))
			if errors.Is(err, envelope.ErrSubject) {
				continue // No release has such a name, and it must not keep an emergency waiting.
			}
			if err != nil {
				return nil, fmt.Errorf("look at release %s of %s: %w", id, n.service, err)
			}
			state, _ := procedure.Fold(id, h.Entries)
			other := progress{state: state, requested: first(h.Entries), claimed: claimed(id, h.Entries)}
			if !state.LetGo() { // Nobody waits for it otherwise.
				if other.urgent, err = takeback.Urgent(ctx, store, state); err != nil {
					return nil, fmt.Errorf("look at release %s of %s: %w", id, n.service, err)
				}
			}
			if why, turn := l.before(me, other); why != "" {
				out = append(out, Found{Rule: n.rule, Release: id, Message: fmt.Sprintf("release %s of %s, %s, %s", id, n.service, n.relation, why), Turn: turn})
			}
		}
	}
	return bounded(out), nil
}

// MaxFound bounds how many releases a look names: what it found goes into an event, which has
// to stay small enough for the bus.
const MaxFound = 32

// bounded keeps those that are in flight before those that only go first.
func bounded(found []Found) []Found {
	more := len(found) - MaxFound
	if more <= 0 {
		return found
	}
	slices.SortStableFunc(found, func(a, b Found) int {
		switch {
		case a.Turn == b.Turn:
			return 0
		case b.Turn:
			return -1
		}
		return 1
	})
	found = found[:MaxFound]
	found[MaxFound-1].Message += fmt.Sprintf(", and %d more", more)
	return found
}

// neighbor is a service, and how it is related to that of the release.
type neighbor struct{ service, rule, relation string }

func (l Look) neighbors() []neighbor {
	own := l.State.Request.GetService()
	var out []neighbor
	add := func(service, rule, relation string) {
		if service != own && !slices.ContainsFunc(out, func(n neighbor) bool { return n.service == service }) {
			out = append(out, neighbor{service, rule, relation})
		}
	}
	for _, index := range l.Documents {
		for _, name := range index.Service(own).GetDependencies() {
			add(name, RuleDependency, "on which "+own+" depends")
		}
	}
	for _, index := range l.Documents {
		for _, s := range index.Dependents(own) {
			add(s.GetName(), RuleDependent, "which depends on "+own)
		}
	}
	return out
}

// Neighbors are the services whose releases are looked at, by any of the documents.
func Neighbors(documents []*policy.Index, r *releasev1.Request) []string {
	var out []string
	for _, n := range (Look{State: procedure.State{Request: r}, Documents: documents}).neighbors() {
		out = append(out, n.service)
	}
	return out
}
