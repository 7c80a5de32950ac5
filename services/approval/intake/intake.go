package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"buf.build/go/protovalidate"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Procedures gives procedure documents.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// Blobs keeps evidence by its content.
type Blobs interface {
	Put(ctx context.Context, mediaType, name string, content []byte) (*releasev1.EvidenceRef, error)
}

// Answers publishes the answer to a request.
type Answers interface {
	Publish(ctx context.Context, subject, id string, answer *releasev1.Answer) error
}

// Intake takes requests in. It is safe for concurrent use.
type Intake struct {
	store       *eventstore.Store
	procedures  Procedures
	procedureID string
	blobs       Blobs
	answers     Answers
	validator   protovalidate.Validator
	now         func() time.Time
}

// New returns an intake for the procedure with that id.
func New(store *eventstore.Store, procedures Procedures, procedureID string, blobs Blobs, answers Answers, now func() time.Time) (*Intake, error) {
	v, err := protovalidate.New()
	if err != nil {
		return nil, fmt.Errorf("compile the rules of requests: %w", err)
	}
	return &Intake{
		store: store, procedures: procedures, procedureID: procedureID, blobs: blobs, answers: answers, validator: v, now: now,
	}, nil
}

// Message is a request as the stream REQUESTS holds it.
type Message struct {
	Subject     string
	ContentType string
	Signature   string
	Body        []byte
	Sequence    uint64
}

// ErrNoProcedure says that no procedure document is in effect yet.
var ErrNoProcedure = errors.New("no procedure document is in effect")

// Take makes a release of a request, or refuses it, and answers it. It returns an
// error only where nothing is decided yet and the message must come again.
func (i *Intake) Take(ctx context.Context, m Message) error {
	active, err := standing.ReadProcedure(ctx, i.store, i.procedureID)
	if err != nil {
		return err
	}
	if active.Digest == "" {
		return ErrNoProcedure
	}
	index, err := i.procedures.ByDigest(ctx, active.Digest)
	if err != nil {
		return err
	}
	request, answer, err := i.judge(ctx, index, active, m)
	if err != nil {
		return err
	}
	if answer.GetOutcome() == releasev1.Answer_OUTCOME_REFUSED {
		if err := i.refuse(ctx, active, m, answer); err != nil {
			return err
		}
	} else if index.Environment(request.GetEnvironment()).GetSupersedeOlder() && request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED {
		if err := i.supersede(ctx, request, answer.GetRelease()); err != nil {
			return err
		}
	}
	slog.InfoContext(ctx, "request answered", slog.String("subject", m.Subject), slog.String("outcome", answer.GetOutcome().String()),
		slog.String("release", answer.GetRelease()), slog.Int("violations", len(answer.GetViolations())))
	subject := answerSubject(m.Subject, answer.GetIdempotencyKey(), m.Body)
	return i.answers.Publish(ctx, subject, fmt.Sprintf("answer-%d", m.Sequence), answer)
}

// judge decides about a request, and stores the release that it makes.
func (i *Intake) judge(ctx context.Context, index *policy.Index, active standing.Procedure, m Message) (*releasev1.Request, *releasev1.Answer, error) {
	now := i.now()
	answer := &releasev1.Answer{
		Outcome: releasev1.Answer_OUTCOME_REFUSED, ProcedureVersion: active.Version, ProcedureDigest: active.Digest,
		Time: timestamppb.New(now),
	}
	request, unreadable := decode(m.ContentType, m.Body)
	if token.MatchString(request.GetIdempotencyKey()) {
		answer.IdempotencyKey = request.GetIdempotencyKey()
	}
	if unreadable != nil {
		answer.Violations = []*releasev1.Violation{unreadable}
		return request, answer, nil
	}
	violations, err := shape(i.validator, request)
	if err != nil {
		return nil, nil, fmt.Errorf("validate a request: %w", err)
	}
	violations = append(violations, check(index, m.Subject, request, now)...)
	signedBy, bad := signer(index, request, m.Signature, m.Body, now)
	if bad != nil {
		violations = append(violations, bad)
	}
	if len(violations) > 0 {
		answer.Violations = violations
		return request, answer, nil
	}
	answer.RequestDigest = procedure.RequestDigest(request)
	err = i.make(ctx, index, active, m, request, signedBy, answer)
	return request, answer, err
}

// make stores the first event of a release, or finds it stored.
func (i *Intake) make(ctx context.Context, index *policy.Index, active standing.Procedure, m Message, request *releasev1.Request, signedBy string, answer *releasev1.Answer) error {
	id := procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	event, err := i.requested(ctx, index, m, request, signedBy, answer.GetRequestDigest())
	if err != nil {
		return err
	}
	for {
		h, err := i.store.Load(ctx, procedure.Aggregate(id))
		if err != nil {
			return err
		}
		if state, _ := procedure.Fold(id, h.Entries); state.Phase != procedure.PhaseNone {
			repeated(answer, state)
			return nil
		}
		service, err := standing.ReadService(ctx, i.store, request.GetEnvironment(), request.GetService())
		if err != nil {
			return err
		}
		open := append(slices.Clone(service.Open), id)
		drafts := []eventstore.Draft{
			{Aggregate: procedure.Aggregate(id), Expect: h.Last, Event: event},
			service.Draft(service.Changed(id, open, service.Debts)),
		}
		for _, d := range drafts {
			d.Event.Actor, d.Event.ProcedureDigest = actor(request, signedBy), active.Digest
		}
		_, err = i.store.Append(ctx, drafts...)
		if errors.Is(err, eventstore.ErrSequenceConflict) {
			continue
		}
		if err != nil {
			return err
		}
		answer.Outcome, answer.Release = releasev1.Answer_OUTCOME_ACCEPTED, id
		return nil
	}
}

// repeated answers a request whose release is there: the same request is the same
// release, and another request under the same name is refused.
func repeated(answer *releasev1.Answer, state procedure.State) {
	if state.Requested.GetRequestDigest() == answer.GetRequestDigest() {
		answer.Outcome, answer.Release = releasev1.Answer_OUTCOME_REPEATED, state.Release
		return
	}
	answer.Violations = []*releasev1.Violation{violation("idempotency_key", "idempotency_key.reused",
		"release "+state.Release+" was made of another request under this key; what is changed needs a key of its own")}
}

// requested is the first event of the release. The evidence is stored first: an
// event that points to it never comes before it.
func (i *Intake) requested(ctx context.Context, index *policy.Index, m Message, request *releasev1.Request, signedBy, digest string) (*releasev1.Event, error) {
	var refs []*releasev1.EvidenceRef
	for n, content := range request.GetEvidence() {
		ref, err := i.blobs.Put(ctx, "application/vnd.dsse.envelope.v1+json", fmt.Sprintf("evidence-%d", n), content)
		if err != nil {
			return nil, fmt.Errorf("store evidence: %w", err)
		}
		refs = append(refs, ref)
	}
	kept, ok := proto.Clone(request).(*releasev1.Request)
	if !ok {
		return nil, errors.New("clone a request")
	}
	kept.Evidence = nil
	d := index.Document().GetDeadlines()
	start := i.now()
	if t := request.GetNotBefore(); t != nil && t.AsTime().After(start) {
		start = t.AsTime()
	}
	return &releasev1.Event{Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{
		Request: kept, RequestDigest: digest, Evidence: refs, SignedBy: signedBy, RequestSequence: m.Sequence,
		StartBy: timestamppb.New(start.Add(d.GetStartWithin().AsDuration())),
		Timeouts: &releasev1.Timeouts{
			Step: d.GetStep(), Execute: d.GetExecute(), Verify: d.GetVerify(), Decision: d.GetDecision(),
		},
	}}}, nil
}

// actor is who asked. Without a signature the identity rests on the bus alone,
// which let the message through on this subject, and the record says so.
func actor(r *releasev1.Request, signedBy string) *releasev1.Actor {
	a := &releasev1.Actor{Id: r.GetRequester(), Kind: releasev1.Actor_KIND_SERVICE, Method: "bus"}
	if signedBy != "" {
		a.Method = "signature"
	}
	return a
}

// refuse keeps a refused request, under a name that a repetition of the same
// message gives again.
func (i *Intake) refuse(ctx context.Context, active standing.Procedure, m Message, answer *releasev1.Answer) error {
	digest := bodyDigest(m.Body)
	aggregate := fmt.Sprintf("req.%d-%s", m.Sequence, digest[:16])
	_, err := i.store.Append(ctx, eventstore.Draft{
		Aggregate: aggregate,
		Event: &releasev1.Event{
			Actor:           &releasev1.Actor{Id: procedure.ServiceApproval, Kind: releasev1.Actor_KIND_SERVICE, Method: "service"},
			ProcedureDigest: active.Digest,
			Data: &releasev1.Event_RequestRefused{RequestRefused: &releasev1.RequestRefused{
				Subject: m.Subject, BodyDigest: "sha256:" + digest, Answer: answer, RequestSequence: m.Sequence,
			}},
		},
	})
	if errors.Is(err, eventstore.ErrSequenceConflict) {
		return nil // kept already
	}
	return err
}

// supersede ends older releases of the service that have not started (PD-0.4).
func (i *Intake) supersede(ctx context.Context, request *releasev1.Request, by string) error {
	service, err := standing.ReadService(ctx, i.store, request.GetEnvironment(), request.GetService())
	if err != nil {
		return err
	}
	at := slices.Index(service.Open, by)
	for _, older := range service.Open[:max(at, 0)] {
		if err := i.end(ctx, older, by); err != nil {
			return err
		}
	}
	return nil
}

// end supersedes one release, unless it has started, ended, or is not a planned one.
func (i *Intake) end(ctx context.Context, older, by string) error {
	for {
		h, err := i.store.Load(ctx, procedure.Aggregate(older))
		if err != nil {
			return err
		}
		s, _ := procedure.Fold(older, h.Entries)
		if s.Phase == procedure.PhaseNone || s.Phase > procedure.PhaseExecute || s.Started() ||
			s.Request.GetTrigger() != releasev1.Trigger_TRIGGER_PLANNED {
			return nil
		}
		_, err = i.store.Append(ctx, eventstore.Draft{
			Aggregate: procedure.Aggregate(older), Expect: h.Last, Previous: s.Head.Previous(),
			Event: &releasev1.Event{
				Actor:           &releasev1.Actor{Id: procedure.ServiceApproval, Kind: releasev1.Actor_KIND_SERVICE, Method: "service"},
				ProcedureDigest: s.ProcedureDigest,
				Data:            &releasev1.Event_Superseded{Superseded: &releasev1.Superseded{ByRelease: by}},
			},
		})
		if !errors.Is(err, eventstore.ErrSequenceConflict) {
			return err
		}
	}
}
