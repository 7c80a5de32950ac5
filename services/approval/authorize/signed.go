package authorize

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// approval is the approval that the caller gives, signed where it has to be. The
// signature is verified here for a good answer, and by the executor for good (PD-A.4).
func (s *Server) approval(ctx context.Context, d desk, stand *releasev1.StandIn, r *approvalv1.ApproveRequest) (*releasev1.Event, error) {
	signature, err := consent.Identified(r.GetSignature())
	if err != nil {
		return nil, err
	}
	given := &releasev1.ApprovalGiven{
		ChangeDigest: r.GetChangeDigest(), Comment: r.GetComment(), ShownDigest: r.GetShownDigest(),
		Signature: signature, StandIn: stand,
	}
	event := Approval(d.index, d.state, given, d.now)
	if r.GetSignature() == nil {
		if stand == nil && procedure.NeedsSignature(d.state, d.person.GetGroups()) {
			return nil, procedure.ErrUnsigned
		}
		return event, nil
	}
	expires := r.GetSignature().GetExpires()
	if !expires.IsValid() || expires.AsTime().After(d.until()) {
		return nil, invalidField("signature.expires", "later than an approval that is given now counts: "+d.until().UTC().Format(rfc3339))
	}
	roots, err := s.trusted(ctx, signature, d.index, d.active)
	if err != nil {
		return nil, err
	}
	_, err = consent.Verify(d.state, procedure.Approval{
		Person: d.person.GetId(), Given: d.now, Expires: expires.AsTime(), Comment: r.GetComment(), ShownDigest: r.GetShownDigest(), Signature: signature, StandIn: stand,
	}, roots, d.index, d.active)
	return event, err
}

// trusted reads the trusted roots that documents name, where a bundle is to be verified:
// they were kept as evidence when the documents took effect.
func (s *Server) trusted(ctx context.Context, signature *releasev1.ApprovalSignature, documents ...*policy.Index) (sigstore.Roots, error) {
	roots := sigstore.Roots{}
	if signature.GetBundle() == "" {
		return roots, nil
	}
	for _, index := range documents {
		digest := index.Document().GetSigstore().GetTrustedRoot()
		if digest == "" || roots[digest] != nil {
			continue
		}
		var err error
		if roots[digest], err = s.roots.Root(ctx, digest); err != nil {
			return nil, err
		}
	}
	return roots, nil
}

// Approval is the event of an approval that is given at that time: it says until when it
// counts, which is what was signed where it is signed, and never later than any that is
// given then. It depends on its arguments alone, and is what a replay calls, too (N-01).
func Approval(index *policy.Index, s procedure.State, given *releasev1.ApprovalGiven, now time.Time) *releasev1.Event {
	given = proto.CloneOf(given)
	until := procedure.ValidUntil(s, now, index.Document().GetDeadlines().GetApprovalValid().AsDuration())
	given.Expires = timestamppb.New(until)
	if signed := given.GetSignature().GetExpires(); signed.IsValid() && signed.AsTime().Before(until) {
		given.Expires = signed
	}
	return &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: given}}
}

const rfc3339 = "2006-01-02T15:04:05.999999999Z07:00"

// signing is what the caller would sign besides what is shown.
func (d desk) signing() *approvalv1.Signing {
	return &approvalv1.Signing{
		Person: d.person.GetId(), ProcedureDigest: d.state.ProcedureDigest, Required: procedure.NeedsSignature(d.state, d.person.GetGroups()),
		Expires: timestamppb.New(d.until()), Keys: consent.Keys(d.index, d.person.GetId(), d.now), Identities: consent.Identities(d.index, d.person.GetId(), d.now),
	}
}
