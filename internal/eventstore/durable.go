package eventstore

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/procedure"
)

const (
	// DefaultAckWait is how long the server waits for a sign of life before it
	// delivers a message again.
	DefaultAckWait = 30 * time.Second
	// maxAckPending bounds the messages of one durable that are being worked on or
	// wait for another try, over all processes together. Messages that were put
	// off count too, so a small number would let a few releases with a dependency
	// down stop the step for all others. Processes bound their own work.
	maxAckPending = 4096
	// MaxPullExpiry bounds how long one pull request may wait for messages.
	MaxPullExpiry = 30 * time.Second
	// maxBatch bounds the messages of one pull request.
	maxBatch = 32
)

// Durable is the consumer of one step on one stream. Its name is contract: under
// another name the step would see every message again.
type Durable struct {
	Stream string
	Config jetstream.ConsumerConfig
}

// NewDurable returns the consumer with that name for messages on those subjects,
// which all belong to one stream. It never gives a message up: after a bound on
// deliveries a message would stop being delivered without a word.
func NewDurable(name string, subjects ...string) Durable {
	return Durable{
		Stream: streamOf(subjects),
		Config: jetstream.ConsumerConfig{
			Durable:           name,
			FilterSubjects:    subjects,
			DeliverPolicy:     jetstream.DeliverAllPolicy,
			AckPolicy:         jetstream.AckExplicitPolicy,
			AckWait:           DefaultAckWait,
			MaxDeliver:        -1,
			ReplayPolicy:      jetstream.ReplayInstantPolicy,
			MaxAckPending:     maxAckPending,
			MaxWaiting:        512,
			MaxRequestBatch:   maxBatch,
			MaxRequestExpires: MaxPullExpiry,
		},
	}
}

// streamOf finds the stream by the first token of the subjects.
func streamOf(subjects []string) string {
	if len(subjects) == 0 {
		return StreamEvents
	}
	switch kind, _, _ := strings.Cut(subjects[0], "."); kind {
	case "request":
		return StreamRequests
	case "timer":
		return StreamTimers
	default:
		return StreamEvents
	}
}

// durables are the consumers of the procedure's steps. A step without subjects
// keeps its own cursor.
func durables() []Durable {
	var out []Durable
	for _, step := range procedure.Steps {
		if subjects := step.Subjects(); len(subjects) > 0 {
			out = append(out, NewDurable(string(step.ID), subjects...))
		}
	}
	return out
}
