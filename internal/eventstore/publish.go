package eventstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/blackdice/shipwarden/internal/failpoint"
)

// The headers of an atomic batch.
const (
	headerBatchID     = "Nats-Batch-Id"
	headerBatchSeq    = "Nats-Batch-Sequence"
	headerBatchCommit = "Nats-Batch-Commit"
)

// Codes with which the server answers.
const (
	codeNoPeers            jetstream.ErrorCode = 10005
	codeStoreFailed        jetstream.ErrorCode = 10077
	codeDuplicateInFlight  jetstream.ErrorCode = 10158
	codeWrongSequence      jetstream.ErrorCode = 10071
	codeSequenceInFlight   jetstream.ErrorCode = 10164
	codeSequenceNotYet     jetstream.ErrorCode = 10163
	codeBatchIncomplete    jetstream.ErrorCode = 10176
	codeBatchDuplicate     jetstream.ErrorCode = 10201
	codeTooManyBatches     jetstream.ErrorCode = 10210
	codeClusterUnavailable jetstream.ErrorCode = 10008
)

// ambiguous are the refusals that may be the echo of one's own success, or pass.
var ambiguous = map[jetstream.ErrorCode]bool{
	codeDuplicateInFlight: true, codeWrongSequence: true, codeSequenceInFlight: true, codeSequenceNotYet: true,
	codeBatchIncomplete: true, codeBatchDuplicate: true, codeTooManyBatches: true, codeClusterUnavailable: true,
}

// errAck says that an acknowledgment was not one of what was sent.
var errAck = errors.New("acknowledgment does not fit")

// acknowledgment is the server's answer to a publish or to the commit of a batch.
type acknowledgment struct {
	Error     *jetstream.APIError `json:"error,omitempty"`
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate,omitempty"`
	Count     int                 `json:"count,omitempty"`
}

// publish sends the groups once, as one message or as one atomic batch, and
// returns the sequence of the first message. The library's own repetition is not
// used: whether to repeat is decided by reading.
func (s *Store) publish(ctx context.Context, groups ...*group) (uint64, error) {
	var items []sealed
	for _, g := range groups {
		items = append(items, g.items...)
	}
	s.metrics.messages.Add(float64(len(items)))
	if err := failpoint.Hit("append.before"); err != nil {
		return 0, err
	}
	ack, err := s.send(ctx, items)
	if err == nil {
		err = failpoint.Hit("append.after")
	}
	s.metrics.publishes.WithLabelValues(outcome(err)).Inc()
	if err != nil {
		return 0, err
	}
	return ack.Sequence - uint64(len(items)) + 1, nil
}

func (s *Store) send(ctx context.Context, items []sealed) (acknowledgment, error) {
	batch := ""
	if len(items) > 1 {
		batch = nuid.Next()
	}
	final := len(items) - 1
	for i, item := range items[:final] {
		// Nothing answers here: a message that is refused makes the commit fail.
		if err := s.conn.PublishMsg(wire(item, batch, i+1, false)); err != nil {
			return acknowledgment{}, fmt.Errorf("publish: %w", err)
		}
		failpoint.At("append.inside")
	}
	answer, err := s.conn.RequestMsgWithContext(ctx, wire(items[final], batch, len(items), true))
	if err != nil {
		return acknowledgment{}, fmt.Errorf("publish: %w", err)
	}
	var ack acknowledgment
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return acknowledgment{}, fmt.Errorf("publish: %w: %w", errAck, err)
	}
	if ack.Error != nil {
		return acknowledgment{}, fmt.Errorf("publish: %w", ack.Error)
	}
	if ack.Stream != StreamEvents || ack.Sequence < uint64(len(items)) || (batch != "" && ack.Count != len(items)) {
		return acknowledgment{}, fmt.Errorf("publish: stream %q, count %d: %w", ack.Stream, ack.Count, errAck)
	}
	return ack, nil
}

// wire adds to the signed message what the server is to check.
func wire(item sealed, batch string, position int, commit bool) *nats.Msg {
	header := maps.Clone(item.message.Header)
	header[jetstream.ExpectedStreamHeader] = []string{StreamEvents}
	expect(header, Filter(item.aggregate), item.expect)
	if batch != "" {
		header[headerBatchID] = []string{batch}
		header[headerBatchSeq] = []string{strconv.Itoa(position)}
		if commit {
			header[headerBatchCommit] = []string{"1"}
		}
	}
	return &nats.Msg{Subject: item.message.Subject, Header: header, Data: item.message.Data}
}

// refused reports whether the server said no for good.
func refused(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && !ambiguous[api.ErrorCode]
}

// outcome is the label of a publish.
func outcome(err error) string {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return "stored"
	case !errors.As(err, &api):
		return "no_answer"
	case ambiguous[api.ErrorCode]:
		return "conflict"
	default:
		return "refused"
	}
}
