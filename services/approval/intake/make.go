package intake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxOpen bounds the releases of one service that are not at an end, and the
// reviews that are owed for it: one event names them all, and an event has an end.
const maxOpen = 512

// make stores the first event of a release, or finds it stored.
func (i *Intake) make(ctx context.Context, index *policy.Index, active standing.Procedure, m Message, request *releasev1.Request, signedBy string, answer *releasev1.Answer) error {
	id := procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey())
	event, err := Requested(ctx, i.blobs, index, request, m.Delivery, i.now())
	if errors.Is(err, evidence.ErrFull) {
		answer.Violations = []*releasev1.Violation{noRoom()}
		return nil
	}
	if err != nil {
		return err
	}
	event.GetRequested().SignedBy, event.GetRequested().RequestSequence = signedBy, m.Sequence
	for {
		h, err := i.store.Load(ctx, procedure.Aggregate(id))
		if err != nil {
			return err
		}
		if state, _ := procedure.Fold(id, h.Entries); state.Phase != procedure.PhaseNone {
			// Another process was faster.
			answer.Violations = repeated(answer, state)
			return nil
		}
		service, err := standing.ReadService(ctx, i.store, request.GetEnvironment(), request.GetService())
		if err != nil {
			return err
		}
		if len(service.Open)+len(service.Debts) >= maxOpen {
			answer.Violations = []*releasev1.Violation{violation("service", "service.open", fmt.Sprintf(
				"%d releases of %s are not at an end or not reviewed; no more are taken in until some are", maxOpen, request.GetService()))}
			return nil
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
		frozen(index, procedure.State{Release: id, Request: request}, i.now(), answer)
		return nil
	}
}

// frozen says in the answer what would hold a start now: whoever asks on Friday for what
// cannot start before Monday hears of it on Friday. Of freezes that cannot be evaluated
// step 3 says what is to be said.
func frozen(index *policy.Index, s procedure.State, now time.Time, answer *releasev1.Answer) {
	if nb := s.Request.GetNotBefore(); nb != nil && nb.AsTime().After(now) {
		now = nb.AsTime()
	}
	j, err := index.Freezes(s, now)
	if err != nil || len(j.Reasons) == 0 {
		return
	}
	for _, h := range j.Holds() {
		answer.FrozenBy = append(answer.FrozenBy, h.GetSubject())
	}
	answer.EarliestStart = timestamppb.New(j.Until)
}

// repeated answers a request whose release is there: the same request is the same
// release, and another request under the same name is a violation.
func repeated(answer *releasev1.Answer, state procedure.State) []*releasev1.Violation {
	switch {
	case state.Phase == procedure.PhaseNone:
		return nil
	case state.Requested.GetRequestDigest() == answer.GetRequestDigest():
		answer.Outcome, answer.Release, answer.ChangeDigest = releasev1.Answer_OUTCOME_REPEATED, state.Release, state.ChangeDigest
		return nil
	}
	return []*releasev1.Violation{violation("idempotency_key", "idempotency_key.reused",
		"release "+state.Release+" was made of another request under this key; what is changed needs a key of its own")}
}

// atOnce bounds how many documents of one request are stored at a time.
const atOnce = 8

// noRoom refuses what nobody could judge: a store that is full is a matter of people, and a
// requester is not to find out by waiting.
func noRoom() *releasev1.Violation {
	return violation("evidence", "evidence.full", "it cannot be kept, because the evidence store is full: tell whoever runs Shipwarden, and send it again")
}

// Requested is the first event of the release that a request makes at that time. The
// evidence is stored first: an event that points to it never comes before it. Where it
// cannot be, an emergency or a rollback is a release all the same, and the event says what
// is not there, but not before the message that makes it has come evidence.Patience times,
// unless the store is full; of any other request the error is that of the store.
func Requested(ctx context.Context, blobs Blobs, index *policy.Index, request *releasev1.Request, delivery int, now time.Time) (*releasev1.Event, error) {
	var keeper evidence.Putter = blobs
	tolerant := evidence.TolerateAt(blobs, delivery)
	if (procedure.State{Request: request}).Urgent() {
		keeper = tolerant
	}
	refs := make([]*releasev1.EvidenceRef, len(request.GetEvidence()))
	group, putting := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for n, content := range request.GetEvidence() {
		group.Go(func() (err error) {
			refs[n], err = keeper.Put(putting, "application/vnd.dsse.envelope.v1+json", fmt.Sprintf("evidence-%d", n), content)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("store evidence: %w", err)
	}
	kept, ok := proto.Clone(request).(*releasev1.Request)
	if !ok {
		return nil, errors.New("clone a request")
	}
	kept.Evidence = nil
	d := index.Document().GetDeadlines()
	start := now
	if t := request.GetNotBefore(); t != nil && t.AsTime().After(start) {
		start = t.AsTime()
	}
	return &releasev1.Event{Decided: timestamppb.New(now), Unkept: tolerant.Unkept(), Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{
		Request: kept, RequestDigest: procedure.RequestDigest(request), Evidence: refs,
		StartBy: timestamppb.New(start.Add(d.GetStartWithin().AsDuration())),
		Timeouts: &releasev1.Timeouts{
			Step: d.GetStep(), Execute: d.GetExecute(), Verify: d.GetVerify(), Decision: d.GetDecision(),
		},
		ReasonsDemanded: true, ClosingDemanded: true,
		Reverification: index.Reverification(request),
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
