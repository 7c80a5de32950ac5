package authorize

import (
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// shiftsOf are those in which a document has a person on call at a moment. Where an identity
// provider has to have them in a group of its own, they count only if it has named the caller
// and has: of somebody whom it never named nobody knows whether it would.
func shiftsOf(caller identity.Caller, index *policy.Index, id string, at time.Time) []*releasev1.Shift {
	return slices.DeleteFunc(index.Shifts(id, at), func(s *releasev1.Shift) bool {
		of := index.Group(s.GetGroup()).GetProviderGroup()
		return of != "" && (!caller.Provided || !slices.Contains(caller.Groups, of))
	})
}

// asOnCall lets those of the groups for which the caller is on call count in this decision as
// theirs, and freezes into it which shifts said so (U2). As with members, both the document of
// the release and the one in effect now have to have them in. It is asked for by what cannot
// wait for others, and by nothing else; and for no group on which the decision does not rest,
// because it counts only if each shift that it names lasts until it is stored.
func (d desk) asOnCall(groups ...string) {
	if d.person == nil {
		return // nobody whom the release's document knows
	}
	id := d.person.GetId()
	own, now := d.shifts(d.index, groups), d.shifts(d.active, groups)
	in := func(members []string, shifts []*releasev1.Shift) []string {
		for _, s := range shifts {
			members = append(members, s.GetGroup())
		}
		slices.Sort(members)
		return members
	}
	still := in(groupsOf(d.caller, d.active, id), now)
	d.person.Groups = slices.DeleteFunc(in(groupsOf(d.caller, d.index, id), own), func(g string) bool { return !slices.Contains(still, g) })
	d.person.OnCall = frozen(own, now, d.person.GetGroups())
}

// shifts are those in which a document has the caller on call now, for one of the groups.
func (d desk) shifts(index *policy.Index, groups []string) []*releasev1.Shift {
	return slices.DeleteFunc(shiftsOf(d.caller, index, d.person.GetId(), d.now), func(s *releasev1.Shift) bool { return !slices.Contains(groups, s.GetGroup()) })
}

// inOneOf reports whether the caller is in one of the groups, and rests the decision on that:
// on no shift where they are a member of one, else on those of the group for which they are on
// call longest.
func (d desk) inOneOf(groups ...string) bool {
	if d.asOnCall(); slices.ContainsFunc(groups, d.memberOf) {
		return true
	}
	best, ends := "", time.Time{}
	for _, g := range groups {
		if d.asOnCall(g); d.memberOf(g) && d.ends().After(ends) {
			best, ends = g, d.ends()
		}
	}
	d.asOnCall(best)
	return best != ""
}

// ends is when the first of the shifts ends on which the decision rests.
func (d desk) ends() time.Time {
	var first time.Time
	for _, s := range d.person.GetOnCall() {
		if end := s.GetUntil().AsTime(); first.IsZero() || end.Before(first) {
			first = end
		}
	}
	return first
}

// needed are the groups whose approval the release needs.
func (d desk) needed() []string {
	var out []string
	for _, q := range d.state.Quorum {
		out = append(out, q.GetGroup())
	}
	return out
}

// frozen are the shifts that two documents say, each once, as far as they are for one of the
// groups.
func frozen(own, now []*releasev1.Shift, groups []string) []*releasev1.Shift {
	var out []*releasev1.Shift
	for _, s := range slices.Concat(own, now) {
		if slices.Contains(groups, s.GetGroup()) && !slices.ContainsFunc(out, func(o *releasev1.Shift) bool { return proto.Equal(o, s) }) {
			out = append(out, s)
		}
	}
	return out
}

// called refuses whoever was not called, and may not handle the release.
func (d desk) called(cause releasev1.Cause) error {
	ladder := rungs(d.index)
	if d.calledByName(cause) || d.inOneOf(ladder...) || d.operator() == nil {
		return nil
	}
	return denied("only who was called, members of %s (escalation.rungs) or %s (operators_group), and the owner %s may do this",
		strings.Join(ladder, ", "), d.index.Document().GetOperatorsGroup(), d.state.Request.GetOwner())
}

// calledByName reports whether the caller was called when they were on call: they may take it
// on when they are that no longer. Both documents have to have had them on call then, at the
// moment by which it was decided whom to call.
func (d desk) calledByName(cause releasev1.Cause) bool {
	id := d.person.GetId()
	return calledByName(d.index.Document().GetEscalation().GetRungs(), d.head.Entries, id, cause, func(e procedure.Entry, group string) bool {
		return !slices.ContainsFunc([]*policy.Index{d.index, d.active}, func(x *policy.Index) bool {
			return !slices.ContainsFunc(shiftsOf(d.caller, x, id, decidedAt(e)), func(s *releasev1.Shift) bool { return s.GetGroup() == group })
		})
	})
}

// decidedAt is when an event was decided; when it was stored, of those of before that moment was kept.
func decidedAt(e procedure.Entry) time.Time {
	if decided := e.Event.GetDecided(); decided != nil {
		return decided.AsTime()
	}
	return e.Stored
}
