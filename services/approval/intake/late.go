package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shape"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// evidenceToken ends the subjects of evidence that comes after its request, and those of
// the answers to it.
const evidenceToken = ".evidence"

// bringsEvidence reports whether messages on a subject bring evidence: it is that of a
// request, and a token more.
func bringsEvidence(subject string) bool {
	return strings.HasSuffix(subject, evidenceToken) && strings.Count(subject, ".") == 3
}

// takeEvidence hands evidence to the release that waits for it, or refuses it, and
// answers. The same evidence sent again is answered again and changes nothing. It returns
// an error only where nothing is decided yet and the message must come again.
func (i *Intake) takeEvidence(ctx context.Context, index *policy.Index, active standing.Procedure, m Message) error {
	answer := &releasev1.Answer{
		Outcome: releasev1.Answer_OUTCOME_REFUSED, ProcedureVersion: active.Version, ProcedureDigest: active.Digest, Time: timestamppb.New(i.now()),
	}
	brought, faults := decodeEvidence(m.ContentType, m.Body)
	if token.MatchString(brought.GetIdempotencyKey()) {
		answer.IdempotencyKey = brought.GetIdempotencyKey()
	}
	signedBy := ""
	if len(faults) == 0 {
		faults = place(strings.TrimSuffix(m.Subject, evidenceToken), brought)
		var bad *releasev1.Violation
		if signedBy, bad = signer(index, brought, EvidencePayloadType, m.Signature, m.Body, i.now()); bad != nil {
			faults = append(faults, bad)
		}
	}
	if len(faults) == 0 {
		var err error
		if faults, err = i.add(ctx, m, brought, signedBy, answer); err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		answer.Violations = bounded(faults)
		if err := i.refuse(ctx, active, m, answer); err != nil {
			return err
		}
		for _, v := range answer.GetViolations() {
			i.refusals.WithLabelValues(v.GetRule()).Inc()
		}
	}
	slog.InfoContext(ctx, "evidence answered", slog.String("subject", m.Subject), slog.String("outcome", answer.GetOutcome().String()),
		slog.String("release", answer.GetRelease()), slog.Int("violations", len(answer.GetViolations())))
	subject := answerSubject(strings.TrimSuffix(m.Subject, evidenceToken), answer.GetIdempotencyKey(), m.Body) + evidenceToken
	return i.answers.Publish(ctx, subject, fmt.Sprintf("answer-%d", m.Sequence), answer)
}

// decodeEvidence reads the body as the header says, and returns everything that is wrong
// with its form.
func decodeEvidence(contentType string, body []byte) (*releasev1.Evidence, []*releasev1.Violation) {
	e := &releasev1.Evidence{}
	media, bad := mediaOf(contentType, body)
	if bad != nil {
		return e, []*releasev1.Violation{bad}
	}
	var err error
	rule := "body.protobuf"
	switch media {
	case mediaJSON:
		rule, err = "body.json", protojson.Unmarshal(body, e)
	case mediaProtobuf, "application/x-protobuf":
		err = proto.Unmarshal(body, e)
	default:
		rule, err = "content_type", errors.New("the header Content-Type must be "+mediaJSON+" or "+mediaProtobuf+", not "+media)
	}
	if err != nil {
		return &releasev1.Evidence{}, []*releasev1.Violation{violation("", rule, clean(err))}
	}
	found, err := shape.Check(e)
	if err != nil {
		return e, []*releasev1.Violation{violation("", "evidence.invalid", clean(err))}
	}
	var out []*releasev1.Violation
	for _, v := range found {
		out = append(out, violation(v.Field, v.Rule, v.Message))
	}
	return e, out
}

// add stores evidence that the release does not have yet, and says so in its history;
// the blobs come before the event that names them. What it returns is why it does not.
func (i *Intake) add(ctx context.Context, m Message, brought *releasev1.Evidence, signedBy string, answer *releasev1.Answer) ([]*releasev1.Violation, error) {
	id := procedure.ReleaseID(brought.GetEnvironment(), brought.GetService(), brought.GetIdempotencyKey())
	for {
		h, err := i.store.Load(ctx, procedure.Aggregate(id))
		if err != nil {
			return nil, err
		}
		state, _ := procedure.Fold(id, h.Entries)
		if state.Phase == procedure.PhaseNone {
			return []*releasev1.Violation{violation("idempotency_key", "idempotency_key.unknown", "no release was made of a request under this key")}, nil
		}
		fresh, again := unknown(state, brought.GetEvidence())
		switch {
		case len(fresh) == 0:
			answer.Outcome, answer.Release, answer.RequestDigest = releasev1.Answer_OUTCOME_REPEATED, id, state.Requested.GetRequestDigest()
			return nil, nil
		case !state.TakesEvidence():
			return []*releasev1.Violation{violation("evidence", "evidence.late", fmt.Sprintf("release %s does not wait for evidence: it is in phase %s", id, state.Phase))}, nil
		case len(state.LateEvidence)+len(fresh)-again > procedure.MaxLateEvidence:
			return []*releasev1.Violation{violation("evidence", "evidence.many", fmt.Sprintf(
				"with these, %d pieces came after the request, more than %d", len(state.LateEvidence)+len(fresh)-again, procedure.MaxLateEvidence))}, nil
		}
		added := &releasev1.EvidenceAdded{SignedBy: signedBy, RequestSequence: m.Sequence}
		for n, content := range fresh {
			ref, err := i.blobs.Put(ctx, "application/vnd.dsse.envelope.v1+json", fmt.Sprintf("late-evidence-%d", len(state.LateEvidence)+n), content)
			if errors.Is(err, evidence.ErrFull) {
				return []*releasev1.Violation{noRoom()}, nil
			}
			if err != nil {
				return nil, fmt.Errorf("store evidence: %w", err)
			}
			added.Evidence = append(added.Evidence, ref)
		}
		by := actor(state.Request, signedBy)
		_, err = i.store.Append(ctx, eventstore.Draft{
			Aggregate: procedure.Aggregate(id), Expect: h.Last, Previous: state.Head.Previous(),
			Event: &releasev1.Event{
				Actor: by, ProcedureDigest: state.ProcedureDigest,
				Data: &releasev1.Event_EvidenceAdded{EvidenceAdded: added},
			},
		})
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return nil, err
		}
		answer.Outcome, answer.Release, answer.RequestDigest = releasev1.Answer_OUTCOME_ACCEPTED, id, state.Requested.GetRequestDigest()
		return nil, nil
	}
}

// unknown returns the evidence that a release does not have, each piece once, and how many
// of these came before and could not be kept.
func unknown(state procedure.State, brought [][]byte) (fresh [][]byte, again int) {
	var known, lost []string
	for _, ref := range state.Evidence() {
		if state.UnkeptReason(ref.GetDigest()) != "" {
			lost = append(lost, ref.GetDigest())
			continue
		}
		known = append(known, ref.GetDigest())
	}
	for _, content := range brought {
		digest := evidence.Digest(content)
		if slices.Contains(known, digest) {
			continue
		}
		if slices.Contains(lost, digest) {
			again++
		}
		known, fresh = append(known, digest), append(fresh, content)
	}
	return fresh, again
}
