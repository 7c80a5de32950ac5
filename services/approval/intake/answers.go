package intake

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Board publishes answers on the stream ANSWERS, as protobuf-JSON, which every
// client can read.
type Board struct{ js jetstream.JetStream }

// NewBoard returns a board; the stream must exist.
func NewBoard(js jetstream.JetStream) Board { return Board{js} }

// Publish implements Answers. An answer that is published again with the same id
// within the stream's duplicate window is stored once.
func (b Board) Publish(ctx context.Context, subject, id string, answer *releasev1.Answer) error {
	body, err := protojson.Marshal(answer)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	m := nats.NewMsg(subject)
	m.Data = body
	m.Header.Set(nats.MsgIdHdr, id)
	m.Header.Set("Content-Type", mediaJSON)
	if _, err := b.js.PublishMsg(ctx, m); err != nil {
		return fmt.Errorf("publish an answer: %w", err)
	}
	return nil
}
