package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// serverBatch is how many messages the server takes as one atomic batch.
	serverBatch = 1000
	// underWay is how many batches are sent before the first of them is acknowledged.
	underWay = 8
)

// bulk is one batch of copies. Each event names the sequence of the one before, so the
// sequences are given out before anything is stored.
type bulk struct {
	first    int    // number of its first copy
	releases int    // how many
	after    uint64 // the sequence before its first message
	upTo     uint64 // that of its last
	messages chan []*nats.Msg
	err      error // set before messages is closed
}

// write appends copies of real releases to the stream: signed on all processors, sent
// in their order, several batches at a time.
func (h *histories) write(ctx context.Context, releases int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	last, err := h.last(ctx)
	if err != nil {
		return err
	}
	sign, send := make(chan *bulk, underWay), make(chan *bulk, underWay)
	go h.plan(ctx, releases, last, sign, send)
	for range runtime.NumCPU() {
		go h.sign(sign)
	}
	return h.send(ctx, send)
}

// plan cuts the copies into batches, for those who sign and, in order, for who sends.
func (h *histories) plan(ctx context.Context, releases int, last uint64, sign, send chan<- *bulk) {
	defer close(sign)
	defer close(send)
	for left := releases; left > 0; {
		b := &bulk{first: h.copies + 1, after: last, upTo: last, messages: make(chan []*nats.Msg, 1)}
		for left > 0 {
			size := uint64(len(h.template(h.copies + 1)))
			if b.upTo-b.after+size > serverBatch {
				break
			}
			h.copies++
			b.releases++
			b.upTo += size
			left--
		}
		last = b.upTo
		for _, to := range []chan<- *bulk{sign, send} {
			select {
			case to <- b:
			case <-ctx.Done():
				return
			}
		}
	}
}

// template is the release that a copy is of.
func (h *histories) template(number int) []*releasev1.Event {
	return h.templates[number%len(h.templates)]
}

func (h *histories) sign(batches <-chan *bulk) {
	for b := range batches {
		var all []*nats.Msg
		for i := 0; i < b.releases && b.err == nil; i++ {
			var messages []*nats.Msg
			messages, b.err = h.copy(h.template(b.first+i), b.first+i, b.after+uint64(len(all)))
			all = append(all, messages...)
		}
		b.messages <- all
		close(b.messages)
	}
}

// send sends batches one behind the other. The server stores what one connection sends
// in its order, so what comes back is in that order as well.
func (h *histories) send(ctx context.Context, batches <-chan *bulk) error {
	inbox := nats.NewInbox()
	answers, err := h.admin.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }()
	var waiting []*bulk
	await := func() error {
		b := waiting[0]
		waiting = waiting[1:]
		answer, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("store copies up to %d: %w", b.upTo, err)
		}
		stored, err := committed(answer)
		if err == nil && stored != b.upTo {
			err = fmt.Errorf("stored up to %d, not %d", stored, b.upTo)
		}
		return err
	}
	for b := range batches {
		messages := <-b.messages
		if b.err != nil {
			return b.err
		}
		commit, err := openBatch(h.admin, messages)
		if err != nil {
			return err
		}
		commit.Reply = inbox
		if err := h.admin.PublishMsg(commit); err != nil {
			return err
		}
		if waiting = append(waiting, b); len(waiting) < underWay {
			continue
		}
		if err := await(); err != nil {
			return err
		}
	}
	for len(waiting) > 0 {
		if err := await(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// copy is a release under another name: each event is decided anew where it depends
// on the name, and signed by the service that writes such events.
func (h *histories) copy(template []*releasev1.Event, number int, last uint64) ([]*nats.Msg, error) {
	key := fmt.Sprintf("copy-%d", number)
	asked := template[0].GetRequested().GetRequest()
	state := procedure.State{Release: procedure.ReleaseID(asked.GetEnvironment(), asked.GetService(), key)}
	now := time.Now()
	var out []*nats.Msg
	for _, original := range template {
		e := proto.CloneOf(original)
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		e.Id, e.Aggregate, e.Previous, e.Time = id.String(), procedure.Aggregate(state.Release), state.Head.Previous(), timestamppb.New(now)
		rename(e, key, state)
		m, err := envelope.Seal(h.signers[e.GetWriter()], e)
		if err != nil {
			return nil, err
		}
		last++
		if state, err = procedure.Evolve(state, procedure.Entry{Sequence: last, Digest: digest(m.Data), Stored: now, Event: e}); err != nil {
			return nil, fmt.Errorf("copy a release: %w", err)
		}
		out = append(out, m)
	}
	return out, nil
}

// rename changes what depends on the release's name.
func rename(e *releasev1.Event, key string, state procedure.State) {
	switch d := e.GetData().(type) {
	case *releasev1.Event_Requested:
		d.Requested.Request.IdempotencyKey = key
		d.Requested.RequestDigest = procedure.RequestDigest(d.Requested.GetRequest())
	case *releasev1.Event_RiskCleared:
		d.RiskCleared.ChangeDigest = procedure.ChangeDigest(state)
	case *releasev1.Event_ApprovalGiven:
		d.ApprovalGiven.ChangeDigest = state.ChangeDigest
	case *releasev1.Event_Authorized:
		d.Authorized.ChangeDigest = state.ChangeDigest
	case *releasev1.Event_ExecutionClaimed:
		d.ExecutionClaimed.ChangeDigest = state.ChangeDigest
	case *releasev1.Event_RollbackClaimed:
		d.RollbackClaimed.Rollback = procedure.RollbackID(state.Release, uint32(len(state.Rollbacks))) //nolint:gosec // A handful.
	case *releasev1.Event_RolledBack:
		d.RolledBack.Rollback = procedure.RollbackID(state.Release, uint32(len(state.Rollbacks))) //nolint:gosec // As above.
	case *releasev1.Event_Recorded:
		var back []string
		for _, r := range d.Recorded.GetRollbacks() {
			back = append(back, r.GetRecordDigest())
		}
		e.Data = procedure.DecideRecorded(state, d.Recorded.GetRecordDigest(), back...).GetData()
	}
}
