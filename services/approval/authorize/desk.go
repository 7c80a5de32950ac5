package authorize

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// desk is one call's view: the release, its procedure, and the person who calls.
type desk struct {
	state procedure.State
	head  eventstore.History
	// index is the document by which the caller is judged, digest its digest.
	index  *policy.Index
	digest string
	// own is the release's, active that in effect now, with its digest.
	own          *policy.Index
	active       *policy.Index
	activeDigest string
	caller       identity.Caller
	person       *releasev1.Actor
	now          time.Time
}

// sit finds out who calls, and loads the release.
func (s *Server) sit(ctx context.Context, release string) (desk, error) {
	caller, active, digest, err := s.knownBy(ctx)
	if err != nil {
		return desk{}, err
	}
	d, err := s.view(ctx, caller, active, release)
	d.activeDigest = digest
	return d, err
}

// look is sit for who only looks, or may be judged by the document in effect now: the release's
// own need not know them.
func (s *Server) look(ctx context.Context, release string) (desk, error) {
	d, err := s.sit(ctx, release)
	if d.unknown(err) {
		return d, nil
	}
	return d, err
}

// view loads the release, with the caller as the release's own procedure document
// knows them: a release is carried to its end under the document that it began with.
// Of the groups that it has the caller in, those count in which the caller still is, by
// the document in effect now.
func (s *Server) view(ctx context.Context, caller identity.Caller, active *policy.Index, release string) (desk, error) {
	h, err := s.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return desk{}, err
	}
	state, _ := procedure.Fold(release, h.Entries)
	if state.Phase == procedure.PhaseNone {
		if of, _, ok := procedure.RollbackOf(release); ok {
			return desk{}, refuse(codes.NotFound, "RELEASE_NOT_FOUND", release+" is a way back, within its release, and is governed by that: ask for "+of)
		}
		return desk{}, errNotFound
	}
	index, err := s.procedures.ByDigest(ctx, state.ProcedureDigest)
	if err != nil {
		return desk{}, err
	}
	d := desk{state: state, head: h, index: index, digest: state.ProcedureDigest, own: index, active: active, caller: caller, now: s.now()}
	if d.person, err = personOf(caller, index); err != nil {
		return d, err
	}
	still := groupsOf(caller, active, d.person.GetId())
	d.person.Groups = slices.DeleteFunc(d.person.GetGroups(), func(g string) bool { return !slices.Contains(still, g) })
	return d, nil
}

// known returns the caller, and the document that is in effect now, of which the caller
// must be a person: whoever has left decides nothing more, not even about releases that began when
// they were there. Until a document is in effect, nobody is known.
func (s *Server) known(ctx context.Context) (identity.Caller, *policy.Index, error) {
	caller, index, _, err := s.knownBy(ctx)
	return caller, index, err
}

// knownBy is known, with the digest of the document.
func (s *Server) knownBy(ctx context.Context) (identity.Caller, *policy.Index, string, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return identity.Caller{}, nil, "", errUnauthenticated
	}
	active, err := standing.ReadProcedure(ctx, s.store, s.procedureID)
	if err != nil {
		return identity.Caller{}, nil, "", err
	}
	if active.Digest == "" {
		return identity.Caller{}, nil, "", errStranger
	}
	index, err := s.procedures.ByDigest(ctx, active.Digest)
	if err != nil {
		return identity.Caller{}, nil, "", err
	}
	_, err = personOf(caller, index)
	return caller, index, active.Digest, err
}

// personOf turns the caller into a person, with the groups that the document has the
// person in: they are frozen into what is decided. A caller whose names are those of
// several people could choose who to be, and is nobody.
func personOf(caller identity.Caller, index *policy.Index) (*releasev1.Actor, error) {
	var found *policyv1.Person
	for _, name := range caller.Names {
		p := index.Caller(name)
		if p == nil {
			continue
		}
		if found != nil && found.GetId() != p.GetId() {
			return nil, errAmbiguous
		}
		found = p
	}
	switch {
	case found == nil:
		return nil, errStranger
	case found.GetInactive():
		return nil, errInactive
	case found.GetMachine():
		return nil, errMachine
	}
	return &releasev1.Actor{
		Id: found.GetId(), Kind: releasev1.Actor_KIND_HUMAN, Method: caller.Method, Groups: groupsOf(caller, index, found.GetId()),
	}, nil
}

// groupsOf are the groups that a document has a person in, less those for which an
// identity provider has to have them in a group of its own, and, having named the caller,
// has not (PD-A.4). It takes away, and gives nobody more than the document does.
func groupsOf(caller identity.Caller, index *policy.Index, id string) []string {
	all := index.GroupsOf(id)
	if !caller.Provided {
		return all
	}
	return slices.DeleteFunc(all, func(g string) bool {
		of := index.Group(g).GetProviderGroup()
		return of != "" && !slices.Contains(caller.Groups, of)
	})
}

func (d desk) memberOf(group string) bool { return slices.Contains(d.person.GetGroups(), group) }

// operator refuses people who may not handle a release that is under way: its
// owner and the operators may, and who is on call for them.
func (d desk) operator() error {
	if d.person.GetId() == d.state.Request.GetOwner() {
		return nil
	}
	group := d.index.Document().GetOperatorsGroup()
	if d.inOneOf(group) {
		return nil
	}
	return denied("only the owner %s or a member of %s (operators_group) may do this",
		d.state.Request.GetOwner(), group)
}

// reviewConflict names the part that the caller had in the emergency, under this or another
// account of theirs, by whichever document.
func (d desk) reviewConflict() string {
	return ReviewConflict(d.state, append([]string{d.person.GetId()}, d.caller.Names...), d.own, d.active)
}

// part names the part that the caller has in the change itself, under this or, by the document in
// effect now, under another account of theirs; empty for none, and in an emergency.
func (d desk) part() string {
	if d.state.Emergency() {
		return ""
	}
	id := d.person.GetId()
	for _, p := range d.state.Parts() {
		if p.Person == id {
			return id + " is " + p.Role
		}
		if who := d.active.Person(p.Person); who != nil && who == d.active.Person(id) {
			return fmt.Sprintf("%s is %s, who is %s", id, p.Person, p.Role)
		}
	}
	return ""
}

// decision makes the event of what somebody decides at a desk, or says why they may not.
type decision func(desk) (*releasev1.Event, error)

// decide lets the caller decide something about a release, and stores it. The
// decision is made again where somebody else wrote in between.
func (s *Server) decide(ctx context.Context, release string, what decision) (procedure.State, error) {
	return s.decideBy(ctx, release, func(d desk, err error) (desk, *releasev1.Event, error) {
		if err != nil {
			return d, nil, err
		}
		event, err := what(d)
		return d, event, err
	})
}

// decideBy has a decision made by whoever may, of what was found out about the caller.
func (s *Server) decideBy(ctx context.Context, release string, by func(desk, error) (desk, *releasev1.Event, error)) (procedure.State, error) {
	for {
		d, event, err := by(s.sit(ctx, release))
		if err != nil {
			return procedure.State{}, s.attempted(ctx, release, toStatus(ctx, err))
		}
		if err := failpoint.Hit("desk.decided"); err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		if err := d.room(event); err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		event.Actor, event.ProcedureDigest, event.Decided = d.person, d.state.ProcedureDigest, timestamppb.New(d.now)
		if err := d.counts(event); err != nil {
			return procedure.State{}, toStatus(ctx, d.inWords(event, err))
		}
		stored, err := s.store.Append(ctx, eventstore.Draft{
			Aggregate: d.head.Aggregate, Expect: d.head.Last, Previous: d.state.Head.Previous(), Event: event,
		})
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		failpoint.At("desk.stored")
		// What was stored counts only if the fold says so.
		after, err := s.counted(ctx, release, stored[0].Sequence)
		if err != nil {
			return procedure.State{}, toStatus(ctx, err)
		}
		return after, nil
	}
}

// room refuses approvals of a release whose history is half full: given and taken back
// again and again they would fill it, and then nothing could end the release any more.
func (d desk) room(event *releasev1.Event) error {
	if event.GetApprovalGiven() != nil && len(d.head.Entries)+len(d.head.Invalid) >= eventstore.MaxHistory/2 {
		return errFull
	}
	return nil
}

// counts says whether the event would count if it were stored now, and if not, why:
// what does not count is better not stored, for a history has an end.
func (d desk) counts(event *releasev1.Event) error {
	e := proto.CloneOf(event)
	e.Id, e.Aggregate, e.Writer = "undecided", d.head.Aggregate, procedure.ServiceApproval
	e.Time, e.Previous = timestamppb.New(d.now), d.state.Head.Previous()
	_, err := procedure.Evolve(d.state, procedure.Entry{Sequence: d.head.Last + 1, Stored: d.now, Event: e})
	return err
}

// counted folds the release again and says whether the event that was stored under
// that sequence counts, and if not, why.
func (s *Server) counted(ctx context.Context, release string, sequence uint64) (procedure.State, error) {
	h, err := s.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return procedure.State{}, err
	}
	state, rejected := procedure.Fold(release, h.Entries)
	for _, r := range rejected {
		if r.Entry.Sequence == sequence {
			return procedure.State{}, r.Reason
		}
	}
	return state, nil
}
