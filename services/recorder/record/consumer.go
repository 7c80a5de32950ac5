package record

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
)

// errCrowded says that more recorders read the record than the bus lets.
var errCrowded = errors.New("every session name is taken")

// consumer makes a consumer for one session, that delivers from a sequence on. It is
// no durable, and none that the library makes again behind our back: it is good for
// this session only. Its name is one of the few that the recorder has a right to on
// the bus; a right to any name would be one to other services' durables, too.
func (r *Recorder) consumer(ctx context.Context, from uint64) (jetstream.Consumer, error) {
	names := eventstore.Sessions()
	if r.consumerName != "" {
		// The session before this one is over, also where the server does not know yet.
		_ = r.js.DeleteConsumer(ctx, eventstore.StreamEvents, r.consumerName)
	}
	first := rand.IntN(len(names)) //nolint:gosec // It only keeps two recorders from trying the same names in the same order.
	for i := range names {
		name := names[(first+i)%len(names)]
		c, err := r.js.CreateConsumer(ctx, eventstore.StreamEvents, jetstream.ConsumerConfig{
			Name: name,
			// Without it, two recorders that stand at the same place would be given one
			// consumer, and half of the messages each.
			Description: uuid.NewString(),
			AckPolicy:   jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
			OptStartSeq: from, MemoryStorage: true, Replicas: 1, InactiveThreshold: consumerLife,
		})
		if errors.Is(err, jetstream.ErrConsumerExists) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read stream %s from %d: %w", eventstore.StreamEvents, from, err)
		}
		r.consumerName = name
		return c, nil
	}
	return nil, fmt.Errorf("read stream %s from %d: %w", eventstore.StreamEvents, from, errCrowded)
}

// leave gives the name of the newest session free, which nobody needs any more.
func (r *Recorder) leave(ctx context.Context) {
	if r.consumerName == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), verifyTimeout)
	defer cancel()
	// Where that fails, the server gives it free after consumerLife.
	_ = r.js.DeleteConsumer(ctx, eventstore.StreamEvents, r.consumerName)
	r.consumerName = ""
}
