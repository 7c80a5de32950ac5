package authorize

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// handle is decide for what must not be left undone (procedure.ByEither). Those whom the release's
// own document lets do it may, and so may those whom the document in effect now does: of the first
// nobody may be there any more. Which of the two it was is in the event.
//
// The document in effect is read anew with every look at the release. One that takes effect between
// that and the storing changes nothing, as of every decision.
func (s *Server) handle(ctx context.Context, release string, what decision) (procedure.State, error) {
	return s.decideBy(ctx, release, func(d desk, err error) (desk, *releasev1.Event, error) { return d.either(err, what) })
}

// either is the decision of the caller as the release's own document knows them, or, where that does
// not let them, as the one in effect does.
func (d desk) either(err error, what decision) (desk, *releasev1.Event, error) {
	var event *releasev1.Event
	if err == nil {
		event, err = what(d)
	}
	if (d.unknown(err) || notAllowed(err)) && d.digest != d.activeDigest {
		d, event, err = d.orNow(err, what)
	}
	if err == nil {
		d.person.ProcedureDigest = d.digest
	}
	return d, event, err
}

// orNow is the decision of the caller as the document in effect knows them, whom the release's own
// has refused.
func (d desk) orNow(refused error, what decision) (desk, *releasev1.Event, error) {
	person, err := personOf(d.caller, d.active)
	if err != nil {
		return d, nil, err
	}
	if d.own.Person(person.GetId()).GetMachine() {
		return d, nil, errMachine
	}
	now := d
	now.index, now.digest, now.person = d.active, d.activeDigest, person
	event, err := what(now)
	if notAllowed(refused) && notAllowed(err) && err.Error() != refused.Error() {
		return d, nil, denied("%s; by the document in effect, %s: %s", status.Convert(refused).Message(), now.digest, status.Convert(err).Message())
	}
	return now, event, err
}

// unknown reports whether an error says that the release's own document has no such person, or one
// who had left. Of the document in effect they are a person, or they would not be at the desk.
func (d desk) unknown(err error) bool {
	return d.own != nil && (errors.Is(err, errStranger) || errors.Is(err, errInactive))
}

func notAllowed(err error) bool {
	return status.Code(err) == codes.PermissionDenied && reasonOf(err) == reasonNotAllowed
}

// rungs are the groups of the ladder by a document.
func rungs(index *policy.Index) []string {
	var out []string
	for _, rung := range index.Document().GetEscalation().GetRungs() {
		out = append(out, rung.GetGroup())
	}
	return out
}

// calledByName reports whether somebody was called by name, for what they were on call for then:
// on says whether they were at a moment, for a group.
func calledByName(ladder []*policyv1.Rung, entries []procedure.Entry, id string, cause releasev1.Cause, on func(e procedure.Entry, group string) bool) bool {
	return slices.ContainsFunc(entries, func(e procedure.Entry) bool {
		call := e.Event.GetEscalated()
		if call.GetCause() != cause || !slices.Contains(call.GetTo(), id) || call.GetRung() == 0 || len(ladder) == 0 {
			return false
		}
		return on(e, ladder[min(int(call.GetRung()), len(ladder))-1].GetGroup())
	})
}

// Right says by which right the person of an event decided what is for people of either document, by
// one of the two and by the groups that are frozen into it; empty for none. The entries are those of
// before it that count. It depends on its arguments alone, and is what a replay calls (N-01).
func Right(index *policy.Index, s procedure.State, entries []procedure.Entry, e *releasev1.Event) string {
	id, doc := e.GetActor().GetId(), index.Document()
	groups, owns := []string{doc.GetOperatorsGroup()}, id == s.Request.GetOwner()
	in := e.GetActor().GetGroups()
	var causes []releasev1.Cause
	switch x := e.GetData().(type) {
	case *releasev1.Event_Acknowledged:
		causes = []releasev1.Cause{x.Acknowledged.GetCause()}
	case *releasev1.Event_IncidentClosed:
		causes = x.IncidentClosed.GetCauses()
	case *releasev1.Event_ReviewCompleted:
		groups, owns = []string{doc.GetEmergency().GetReviewGroup()}, false
		in = members(index, id, in)
	case *releasev1.Event_FollowUpAdded, *releasev1.Event_FollowUpClosed:
		groups = append(groups, doc.GetEmergency().GetReviewGroup())
		in = members(index, id, in)
		for _, q := range s.Quorum {
			groups = append(groups, q.GetGroup())
		}
		owns = owns || slices.ContainsFunc(s.FollowUps, func(f procedure.FollowUp) bool {
			return f.Number == e.GetFollowUpClosed().GetNumber() && f.What.GetOwner() == id
		})
	}
	if len(causes) > 0 {
		groups = append(rungs(index), groups...)
	}
	for _, g := range groups {
		if slices.Contains(in, g) {
			return "a member of " + g
		}
	}
	called := func(c releasev1.Cause) bool {
		return calledByName(doc.GetEscalation().GetRungs(), entries, id, c, func(call procedure.Entry, group string) bool {
			return slices.ContainsFunc(index.Shifts(id, decidedAt(call)), func(s *releasev1.Shift) bool { return s.GetGroup() == group })
		})
	}
	switch {
	case owns:
		return "whose it is"
	case slices.ContainsFunc(causes, called):
		return "who was called"
	}
	return ""
}

// members are those of some groups that a person is a member of: what can wait is not for who is on call.
func members(index *policy.Index, id string, groups []string) []string {
	own := index.GroupsOf(id)
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return !slices.Contains(own, g) })
}

// ReviewConflict names the part that somebody with these names had in an emergency, under any account
// that one of the documents says is theirs; empty for none. It depends on its arguments alone, and is
// what a replay calls, too (N-01).
func ReviewConflict(s procedure.State, names []string, documents ...*policy.Index) string {
	all := slices.Clone(names)
	for i := 0; i < len(all); i++ { // and of those that one document adds, what the other says
		for _, x := range documents {
			for _, n := range x.Names(all[i]) {
				if !slices.Contains(all, n) {
					all = append(all, n)
				}
			}
		}
	}
	for _, n := range all {
		if role := s.ReviewConflict(n); role != "" {
			return role
		}
	}
	return ""
}
