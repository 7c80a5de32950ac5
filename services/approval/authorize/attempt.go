package authorize

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"path"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// attempted keeps a decision that somebody tried to make and may not, an administrator's
// of their own change as much as anybody's (PD-A.1), and returns the refusal as it is.
// The same person's same attempt at the same change is kept once, so that nobody fills
// the record with it. What cannot be kept is logged, and refused all the same.
func (s *Server) attempted(ctx context.Context, release string, refusal error) error {
	if status.Code(refusal) != codes.PermissionDenied {
		return refusal
	}
	if err := s.keepAttempt(ctx, release, refusal); err != nil {
		slog.ErrorContext(ctx, "a refused decision is not on record", slog.String("release", release), slog.Any("refusal", refusal), slog.Any("error", err))
	}
	return refusal
}

func (s *Server) keepAttempt(ctx context.Context, release string, refusal error) error {
	caller, index, err := s.known(ctx)
	if index == nil {
		return err
	}
	person := namedIn(index, caller)
	h, err := s.store.Load(ctx, procedure.Aggregate(release))
	if err != nil || len(h.Entries) == 0 || person == nil {
		return err // somebody whom the procedure does not know, or no release, is only logged
	}
	state, _ := procedure.Fold(release, h.Entries)
	_, method := path.Split(methodOf(ctx))
	d := &releasev1.RefusedDecision{
		Release: release, Person: person.GetId(), Action: method, Method: caller.Method, ChangeDigest: state.ChangeDigest,
	}
	reason := reasonOf(refusal)
	actor := &releasev1.Actor{Id: person.GetId(), Kind: releasev1.Actor_KIND_HUMAN, Method: caller.Method, Groups: groupsOf(caller, index, person.GetId())}
	if person.GetMachine() {
		actor.Kind = releasev1.Actor_KIND_SERVICE
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q %q", d.GetRelease(), d.GetPerson(), d.GetAction(), d.GetMethod(), d.GetChangeDigest(), reason))
	_, err = s.store.Append(ctx, eventstore.Draft{
		Aggregate: "req." + release + "-" + hex.EncodeToString(sum[:8]),
		Event: &releasev1.Event{
			Actor: actor, ProcedureDigest: state.ProcedureDigest,
			Data: &releasev1.Event_RequestRefused{RequestRefused: &releasev1.RequestRefused{
				Subject: "decision." + release, Decision: d,
				Answer: &releasev1.Answer{
					Outcome: releasev1.Answer_OUTCOME_REFUSED, Release: release, ProcedureDigest: state.ProcedureDigest,
					Violations: []*releasev1.Violation{{Field: method + " by " + person.GetId(), Rule: reason, Message: status.Convert(refusal).Message()}},
				},
			}},
		},
	})
	if errors.Is(err, eventstore.ErrSequenceConflict) {
		return nil // kept already
	}
	return err
}

// namedIn is the person of a document that a caller is, whoever they are; nil for nobody
// and for several people at once.
func namedIn(index *policy.Index, caller identity.Caller) *policyv1.Person {
	var found *policyv1.Person
	for _, name := range caller.Names {
		switch p := index.Caller(name); {
		case p == nil:
		case found != nil && found != p:
			return nil
		default:
			found = p
		}
	}
	return found
}

func methodOf(ctx context.Context) string {
	name, _ := grpc.Method(ctx)
	return name
}

func reasonOf(refusal error) string {
	for _, d := range status.Convert(refusal).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
