package intake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"buf.build/go/protovalidate"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/internal/takeback"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
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
	now         func() time.Time
	refusals    *prometheus.CounterVec
}

// New returns an intake for the procedure with that id.
func New(store *eventstore.Store, procedures Procedures, procedureID string, blobs Blobs, answers Answers, now func() time.Time) (*Intake, error) {
	// The rules are compiled now, and not when somebody waits for an answer.
	var invalid *protovalidate.ValidationError
	if err := protovalidate.Validate(&releasev1.Request{}); !errors.As(err, &invalid) {
		return nil, fmt.Errorf("compile the rules of requests: %w", err)
	}
	return &Intake{
		store: store, procedures: procedures, procedureID: procedureID, blobs: blobs, answers: answers, now: now,
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shipwarden_requests_refused_total",
			Help: "Violations for which requests were refused, as far as they were told, by rule.",
		}, []string{"rule"}),
	}, nil
}

// Refusals counts the violations of requests that were refused, by rule (PD-9.2).
func (i *Intake) Refusals() prometheus.Collector { return i.refusals }

// Message is a request as the stream REQUESTS holds it.
type Message struct {
	Subject     string
	ContentType string
	Signature   string
	Body        []byte
	Sequence    uint64
	// Delivery counts the deliveries of the message, from 1; 0 where nobody does.
	Delivery int
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
	if bringsEvidence(m.Subject) {
		return i.takeEvidence(ctx, index, active, m)
	}
	request, answer, err := i.judge(ctx, index, active, m)
	if err != nil {
		return err
	}
	if answer.GetOutcome() == releasev1.Answer_OUTCOME_REFUSED {
		answer.RequestDigest = "" // it is that of requests that were accepted
		if err := i.refuse(ctx, active, m, answer); err != nil {
			return err
		}
		for _, v := range answer.GetViolations() {
			i.refusals.WithLabelValues(v.GetRule()).Inc()
		}
	} else if index.Environment(request.GetEnvironment()).GetSupersedeOlder() && request.GetTrigger() == releasev1.Trigger_TRIGGER_PLANNED {
		if err := i.supersede(ctx, request, answer.GetRelease()); err != nil {
			return err
		}
	}
	slog.InfoContext(ctx, "request answered", slog.String("subject", m.Subject), slog.String("outcome", answer.GetOutcome().String()),
		slog.String("release", answer.GetRelease()), slog.Int("violations", len(answer.GetViolations())))
	if err := failpoint.Hit("intake.stored"); err != nil {
		return err
	}
	subject := answerSubject(m.Subject, answer.GetIdempotencyKey(), m.Body)
	if err := i.answers.Publish(ctx, subject, fmt.Sprintf("answer-%d", m.Sequence), answer); err != nil {
		return err
	}
	return failpoint.Hit("intake.answered")
}

// judge decides about a request, and stores the release that it makes.
func (i *Intake) judge(ctx context.Context, index *policy.Index, active standing.Procedure, m Message) (*releasev1.Request, *releasev1.Answer, error) {
	now := i.now()
	answer := &releasev1.Answer{
		Outcome: releasev1.Answer_OUTCOME_REFUSED, ProcedureVersion: active.Version, ProcedureDigest: active.Digest,
		Time: timestamppb.New(now),
	}
	request, faults := decode(m.ContentType, m.Body)
	if token.MatchString(request.GetIdempotencyKey()) {
		answer.IdempotencyKey = request.GetIdempotencyKey()
	}
	if request == nil {
		answer.Violations = bounded(faults)
		return nil, answer, nil
	}
	unfit := malformed(request)
	violations := append(slices.Clone(unfit), beyond(unfit, place(m.Subject, request))...)
	sound := len(violations)+len(faults) == 0
	if sound {
		// What was accepted once stays accepted: whoever asks again after the start time
		// is past, or under a newer document, gets the answer of then.
		answer.RequestDigest = procedure.RequestDigest(request)
		state, err := release(ctx, i.store, procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey()))
		if err != nil {
			return nil, nil, err
		}
		if violations = repeated(answer, state); answer.GetOutcome() == releasev1.Answer_OUTCOME_REPEATED {
			return request, answer, nil
		}
	}
	more, err := fits(ctx, i.store, index, request, unfit, sound, now)
	if err != nil {
		return nil, nil, err
	}
	violations = append(violations, more...)
	signedBy, bad := signer(index, request, RequestPayloadType, m.Signature, m.Body, now)
	if bad != nil {
		violations = append(violations, bad)
	}
	violations = append(faults, beside(faults, violations)...)
	if len(violations) > 0 {
		answer.Violations = bounded(violations)
		return request, answer, nil
	}
	return request, answer, i.make(ctx, index, active, m, request, signedBy, answer)
}

// fits names what is wrong with a request by the document, and, where it is sound, by the
// record and by the room that events have.
func fits(ctx context.Context, store takeback.Store, x *policy.Index, r *releasev1.Request, unfit []*releasev1.Violation, sound bool, now time.Time) ([]*releasev1.Violation, error) {
	var out []*releasev1.Violation
	if sound {
		gone, err := takesBack(ctx, store, r)
		if err != nil {
			return nil, err
		}
		out = append(gone, Room(x, r)...)
	}
	return append(out, beyond(unfit, check(x, r, now))...), nil
}

// Look names everything for which a request would be refused if it came now, but for its
// signature and the subject it comes on. It stores nothing.
func Look(ctx context.Context, store takeback.Store, x *policy.Index, r *releasev1.Request, now time.Time) ([]*releasev1.Violation, error) {
	unfit := malformed(r)
	more, err := fits(ctx, store, x, r, unfit, len(unfit) == 0, now)
	if err != nil {
		return nil, err
	}
	out := append(unfit, more...)
	if len(out) > 0 {
		return bounded(out), nil
	}
	state, err := release(ctx, store, procedure.ReleaseID(r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey()))
	if err != nil {
		return nil, err
	}
	answer := &releasev1.Answer{RequestDigest: procedure.RequestDigest(r)}
	return repeated(answer, state), nil
}

func release(ctx context.Context, store takeback.Store, id string) (procedure.State, error) {
	h, err := store.Beginning(ctx, procedure.Aggregate(id))
	if err != nil {
		return procedure.State{}, err
	}
	state, _ := procedure.Fold(id, h.Entries)
	return state, nil
}

// takesBack refuses a rollback of what was never released there, and one to what was
// never there before: nothing would be taken back, and the record would say that it was.
func takesBack(ctx context.Context, store takeback.Store, r *releasev1.Request) ([]*releasev1.Violation, error) {
	id := r.GetRollbackOf()
	if id == "" {
		return nil, nil
	}
	var state procedure.State
	if procedure.ValidRelease(id) {
		var err error
		if state, err = release(ctx, store, id); err != nil {
			return nil, err
		}
	}
	switch {
	case state.Phase == procedure.PhaseNone:
		return []*releasev1.Violation{violation("rollback_of", "rollback_of.unknown", "there is no such release")}, nil
	case state.Request.GetService() != r.GetService() || state.Request.GetEnvironment() != r.GetEnvironment():
		return []*releasev1.Violation{violation("rollback_of", "rollback_of.foreign",
			strings.Join([]string{id, "is of", state.Request.GetService(), "in", state.Request.GetEnvironment()}, " "))}, nil
	case !state.Started():
		return []*releasev1.Violation{violation("rollback_of", "rollback_of.untouched", id+" was never executed")}, nil
	}
	problems, err := takeback.Check(ctx, store, r, state)
	var out []*releasev1.Violation
	for _, p := range problems {
		out = append(out, violation(p.Field, p.Rule, p.Message))
	}
	return out, err
}
