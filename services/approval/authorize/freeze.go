package authorize

import (
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// OverrideFreeze implements approvalv1.ApprovalServiceServer (N-14). Where the release's
// document and the one in effect have the freeze with another content each, an exception
// is made of both: the start is held by both.
func (s *Server) OverrideFreeze(ctx context.Context, r *approvalv1.OverrideFreezeRequest) (*approvalv1.OverrideFreezeResponse, error) {
	d, err := s.sit(ctx, r.GetRelease())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	wanted, err := d.excepted(r.GetFreeze())
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	for _, f := range wanted {
		_, err := s.decide(ctx, r.GetRelease(), func(d desk) (*releasev1.Event, error) {
			if err := procedure.MayOverride(d.state, d.person); err != nil {
				return nil, err
			}
			return &releasev1.Event{Data: &releasev1.Event_FreezeOverridden{FreezeOverridden: &releasev1.FreezeOverridden{
				Freeze: f.GetName(), FreezeDigest: freeze.Digest(f), Reason: r.GetReason(), Ticket: r.GetTicket(), Groups: d.groupsFor(f), SetBy: f.GetSetBy(),
			}}}, nil
		})
		if err != nil {
			return nil, err
		}
	}
	if d, err = s.sit(ctx, r.GetRelease()); err != nil {
		return nil, toStatus(ctx, err)
	}
	out := &approvalv1.OverrideFreezeResponse{}
	if out.Holds, _, err = d.holds(); err != nil {
		return nil, toStatus(ctx, err)
	}
	o, err := whatif.Begin(d.documents(), d.state, s.dry.Known(ctx, d.documents(), d.state, d.now), d.now)
	if err != nil {
		return nil, toStatus(ctx, err)
	}
	out.EarliestStart = o.GetEarliestStart()
	return out, nil
}

// documents are the release's own and, where it is another one, that in effect.
func (d desk) documents() []*policy.Index {
	if d.index == d.active {
		return []*policy.Index{d.index}
	}
	return []*policy.Index{d.index, d.active}
}

// groupsFor are the groups that a freeze names in which the caller is now, by one of the
// documents and by the identity provider: of no others does an exception count.
func (d desk) groupsFor(f *policyv1.Freeze) []string {
	var in []string
	for _, index := range d.documents() {
		for _, g := range groupsOf(d.caller, index, d.person.GetId()) {
			if slices.Contains(f.GetOverrideGroups(), g) && !slices.Contains(in, g) {
				in = append(in, g)
			}
		}
	}
	return in
}

// excepted are the freezes of that name of which the caller may make an exception and
// of which they did not yet, one for each content.
func (d desk) excepted(name string) ([]*policyv1.Freeze, error) {
	var out []*policyv1.Freeze
	known, done := false, false
	for _, index := range d.documents() {
		for _, f := range index.Document().GetFreezes() {
			if f.GetName() != name || !freeze.Applies(f, freeze.ScopeOf(index.Document(), d.state.Request)) {
				continue
			}
			known = true
			_, decides := index.Decides(d.person.GetId())
			if !decides || !freeze.MayOverride(f, d.person.GetId(), groupsOf(d.caller, index, d.person.GetId())) {
				return nil, denied("the freeze %s does not name %s among those who may make an exception of it", name, d.person.GetId())
			}
			digest := freeze.Digest(f)
			made := slices.ContainsFunc(d.state.Overrides, func(o procedure.Override) bool {
				return o.Freeze == name && o.Digest == digest && o.Person == d.person.GetId()
			})
			done = done || made
			if !made && !slices.ContainsFunc(out, func(o *policyv1.Freeze) bool { return freeze.Digest(o) == digest }) {
				out = append(out, f)
			}
		}
	}
	switch {
	case !known:
		return nil, invalidField("freeze", "no freeze of that name concerns the release")
	case len(out) == 0 && done:
		return nil, precondition("%s made an exception of the freeze %s already", d.person.GetId(), name)
	}
	return out, nil
}

// holds are the freezes that would hold a start now, and the earliest feasible one.
func (d desk) holds() ([]*releasev1.HoldReason, *timestamppb.Timestamp, error) {
	holds, earliest, err := whatif.Earliest(d.documents(), d.state, d.now)
	return holds, timestamppb.New(earliest), err
}
