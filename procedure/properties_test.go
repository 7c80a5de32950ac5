package procedure_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// fingerprint is everything in a state as text, to tell whether it changed.
func fingerprint(s procedure.State) string { return fmt.Sprintf("%+v", s) }

// TestAnyHistory plays random histories and holds what the package comment says of
// every history.
func TestAnyHistory(t *testing.T) {
	for round := range 5 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, anyHistory)
		})
	}
}

func anyHistory(t *rapid.T) {
	d := newDriver(t)
	states, prints := []procedure.State{d.h.State()}, []string{fingerprint(d.h.State())}
	for range rapid.IntRange(20, 100).Draw(t, "length") {
		e, ok := d.next()
		if !ok {
			continue
		}
		before := d.h.State()
		after, err := procedure.Evolve(before, e)
		if err == nil {
			lawful(t, d.counted(), before, after, e)
		} else if got := fingerprint(after); got != prints[len(prints)-1] {
			t.Fatalf("%v, and the state changed:\n%s\n%s", err, prints[len(prints)-1], got)
		}
		if stored := d.h.Store(e); !errors.Is(stored, err) && fmt.Sprint(stored) != fmt.Sprint(err) {
			t.Fatalf("the same event on the same state: %v, then %v", err, stored)
		}
		states, prints = append(states, d.h.State()), append(prints, fingerprint(d.h.State()))
	}

	// A state that was kept is what it was, whatever came after it.
	for i, s := range states {
		if got := fingerprint(s); got != prints[i] {
			t.Fatalf("state %d was changed later:\n%s\n%s", i, prints[i], got)
		}
	}
	// The fold of any prefix is the state that was reached step by step.
	for range 3 {
		n := rapid.IntRange(0, len(d.h.Entries)).Draw(t, "prefix")
		s, rejected := procedure.Fold(d.h.Release, d.h.Entries[:n])
		if got := fingerprint(s); got != prints[n] {
			t.Fatalf("fold of %d entries:\n%s\nstep by step:\n%s", n, got, prints[n])
		}
		if s.Events+len(rejected) != n {
			t.Fatalf("of %d entries %d count and %d do not", n, s.Events, len(rejected))
		}
	}
	// What was there before changes nothing, as it is or as a copy.
	for _, e := range d.h.Entries {
		again := e
		again.Sequence = d.h.Last + 1
		for _, dup := range []procedure.Entry{e, again} {
			s, err := procedure.Evolve(d.h.State(), dup)
			if err == nil && !slices.ContainsFunc(d.h.Rejected, func(r procedure.Rejection) bool { return r.Entry.Sequence == e.Sequence }) {
				t.Fatalf("an event that counted counts again: %v", dup.Event)
			}
			if err != nil && fingerprint(s) != prints[len(prints)-1] {
				t.Fatalf("a duplicate changed the state: %v", dup.Event)
			}
		}
	}
}

// counted are the entries that count.
func (d *driver) counted() []procedure.Entry {
	return slices.DeleteFunc(slices.Clone(d.h.Entries), func(e procedure.Entry) bool {
		return slices.ContainsFunc(d.h.Rejected, func(r procedure.Rejection) bool { return r.Entry.Sequence == e.Sequence })
	})
}

// lawful holds the invariants of one event that counts, by the history alone.
func lawful(t *rapid.T, history []procedure.Entry, before, after procedure.State, e procedure.Entry) {
	name := procedure.TypeOf(e.Event)
	if e.Event.GetWriter() != procedure.WriterOf(name) || e.Event.GetAggregate() != procedure.Aggregate(before.Release) {
		t.Fatalf("%s by %s in %s counts", name, e.Event.GetWriter(), e.Event.GetAggregate())
	}
	if before.Phase == procedure.PhaseClosed && (after.Phase != before.Phase || name != "follow_up_added" && name != "follow_up_closed") {
		t.Fatalf("%s counts after the end", name)
	}
	if before.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED && (effects[name] || after.Outcome != before.Outcome) {
		t.Fatalf("%s counts for a release that is %s", name, before.Outcome)
	}
	if after.Phase != procedure.PhaseClosed {
		if _, ok := procedure.NextDeadline(after); !ok {
			t.Fatalf("no deadline in phase %s", after.Phase)
		}
	}
	claim := e.Event.GetExecutionClaimed()
	if claim == nil {
		return
	}
	if claim.GetChangeDigest() != procedure.ChangeDigest(before) {
		t.Fatalf("what is executed is not what is there: %s", claim.GetChangeDigest())
	}
	if !before.Started() && !approvedByOthers(history, before, claim.GetChangeDigest(), e.Stored) {
		t.Fatalf("executed without a valid approval of %s", claim.GetChangeDigest())
	}
}

// approvedByOthers says the same as the procedure does, and is written from its
// clauses alone: people other than requester, owner and authors approved exactly
// this digest, took nothing back, the approvals are fresh, fill the quorum with one
// person for each place, and an authorization of this digest is valid.
func approvedByOthers(history []procedure.Entry, s procedure.State, digest string, at time.Time) bool {
	valid := map[string][]string{}
	authorized := false
	own := append([]string{s.Request.GetOwner(), s.Request.GetRequester()}, s.Request.GetAuthors()...)
	var quorum []string
	for _, e := range history {
		person := e.Event.GetActor().GetId()
		switch {
		case e.Event.GetGatesConfirmed() != nil:
			for _, v := range e.Event.GetGatesConfirmed().GetVerdicts() {
				own = append(own, v.GetAuthors()...)
			}
		case e.Event.GetRiskCleared() != nil:
			for _, q := range e.Event.GetRiskCleared().GetQuorum() {
				for range q.GetCount() {
					quorum = append(quorum, q.GetGroup())
				}
			}
		case e.Event.GetApprovalGiven() != nil:
			a := e.Event.GetApprovalGiven()
			emergency := s.Request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY
			if a.GetChangeDigest() == digest && at.Before(a.GetExpires().AsTime()) && e.Event.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN &&
				(emergency || !slices.Contains(own, person)) {
				valid[person] = e.Event.GetActor().GetGroups()
			}
		case e.Event.GetApprovalWithdrawn() != nil:
			delete(valid, person)
		case e.Event.GetAuthorized() != nil:
			a := e.Event.GetAuthorized()
			authorized = a.GetChangeDigest() == digest && at.Before(a.GetValidUntil().AsTime())
		}
	}
	return authorized && len(quorum) > 0 && seated(quorum, valid)
}

// seated tries every assignment of people to places.
func seated(places []string, people map[string][]string) bool {
	if len(places) == 0 {
		return true
	}
	for person, groups := range people {
		if !slices.Contains(groups, places[0]) {
			continue
		}
		rest := map[string][]string{}
		for p, g := range people {
			if p != person {
				rest[p] = g
			}
		}
		if seated(places[1:], rest) {
			return true
		}
	}
	return false
}
