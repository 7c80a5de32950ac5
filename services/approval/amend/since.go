package amend

import (
	"context"
	"errors"
	"slices"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// approvedSince reports whether people put the document in effect there since, and enough of
// them are who approves changes by the document before: whom a forced one lets approve is its
// own word. A review that is owed is of an earlier one. Who forced it is none of them, and did
// not propose it either: they choose nobody who reviews what they did.
func (s *Server) approvedSince(ctx context.Context, d desk, owed *releasev1.ProcedureDebt, before, forced *policy.Index) (bool, error) {
	history, err := s.Store.Load(ctx, d.active.Aggregate)
	if errors.Is(err, eventstore.ErrTooLong) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	rule := before.Document().GetChangeControl().GetApprovals()
	board := before.People(rule.GetGroup())
	for i, e := range slices.Backward(history.Entries) {
		a := e.Event.GetProcedureActivated()
		if a == nil || a.GetDigest() != d.active.Digest {
			continue
		}
		under, err := s.readable(ctx, a.GetPreviousDigest())
		if err != nil || under == nil {
			return false, err
		}
		documents := []*policy.Index{before, forced, under, d.index}
		if whoElse(proposer(history.Entries[:i], a.GetProposal()), owed, before, under, documents) == "" {
			return false, nil
		}
		var by []string
		for _, given := range a.GetApprovals() {
			if id := whoElse(given.GetPerson(), owed, before, under, documents); slices.Contains(board, id) && !slices.Contains(by, id) {
				by = append(by, id)
			}
		}
		return rule.GetCount() > 0 && len(by) >= int(rule.GetCount()), nil
	}
	return false, nil
}

// proposer is who made the newest proposal of that number, and empty where nobody did.
func proposer(entries []procedure.Entry, number uint32) string {
	for _, e := range slices.Backward(entries) {
		if p := e.Event.GetProcedureProposed().GetProposal(); number != 0 && p.GetNumber() == number {
			return p.GetProposer()
		}
	}
	return ""
}

// whoElse is who somebody is by the document before, whose id is that of the document under
// which they decided; empty where that is not certain, or where it is who forced the one that
// is reviewed, by any of the documents. What they decided has their id alone, and they may have
// called under any name that the document gave them: it is certain only where all of these are
// names of theirs by the document before. As of callers, a look-alike of a name is another.
func whoElse(id string, owed *releasev1.ProcedureDebt, before, under *policy.Index, documents []*policy.Index) string {
	person := before.Caller(id)
	if person == nil || slices.ContainsFunc(under.Names(id), func(name string) bool { return before.Caller(name) != person }) {
		return ""
	}
	if slices.ContainsFunc(before.Names(id), func(name string) bool { return same(name, owed.GetClaimedBy(), documents...) }) {
		return ""
	}
	return person.GetId()
}

// same reports whether two names are those of one person by any of the documents.
func same(a, b string, documents ...*policy.Index) bool {
	return a == b || slices.ContainsFunc(documents, func(x *policy.Index) bool {
		return x != nil && x.Person(a) != nil && x.Person(a) == x.Person(b)
	})
}
