package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"
)

// maxBatch bounds the messages of one atomic batch; the server takes 1,000.
const maxBatch = 500

// batcher stores what is published at the same time as one atomic batch, without any
// condition: the bound of what gathering can reach, and the way histories come into
// the stream fast.
type batcher struct {
	conn *nats.Conn

	mu      sync.Mutex // guards what follows
	waiting []waiting
	busy    bool
}

type waiting struct {
	message *nats.Msg
	done    chan error
}

func (b *batcher) publish(ctx context.Context, m *nats.Msg) error {
	w := waiting{m, make(chan error, 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, w)
	if !b.busy {
		b.busy = true
		go b.drain(context.WithoutCancel(ctx))
	}
	b.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *batcher) drain(ctx context.Context) {
	for {
		b.mu.Lock()
		n := min(len(b.waiting), maxBatch)
		batch := b.waiting[:n:n]
		b.waiting = b.waiting[n:]
		b.busy = n > 0
		b.mu.Unlock()
		if n == 0 {
			return
		}
		messages := make([]*nats.Msg, n)
		for i, w := range batch {
			messages[i] = w.message
		}
		_, err := storeBatch(ctx, b.conn, messages)
		for _, w := range batch {
			w.done <- err
		}
	}
}

// storeBatch stores the messages as one atomic batch and returns the sequence of the
// last one.
func storeBatch(ctx context.Context, conn *nats.Conn, messages []*nats.Msg) (uint64, error) {
	commit, err := openBatch(conn, messages)
	if err != nil {
		return 0, err
	}
	answer, err := conn.RequestMsgWithContext(ctx, commit)
	if err != nil {
		return 0, err
	}
	return committed(answer)
}

// openBatch sends all of a batch but its last message, which commits it.
func openBatch(conn *nats.Conn, messages []*nats.Msg) (commit *nats.Msg, err error) {
	last := len(messages) - 1
	if last == 0 {
		return messages[0], nil
	}
	id := nuid.Next()
	for i, m := range messages {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header["Nats-Batch-Id"] = []string{id}
		m.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
	}
	messages[last].Header["Nats-Batch-Commit"] = []string{"1"}
	for _, m := range messages[:last] {
		if err := conn.PublishMsg(m); err != nil {
			return nil, err
		}
	}
	return messages[last], nil
}

// committed is the sequence of the last message of a batch, by the server's answer.
func committed(answer *nats.Msg) (uint64, error) {
	var ack struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
		Sequence uint64 `json:"seq"`
	}
	if err := json.Unmarshal(answer.Data, &ack); err != nil {
		return 0, fmt.Errorf("store a batch: %w", err)
	}
	if ack.Error != nil {
		return 0, errors.New("store a batch: " + ack.Error.Description)
	}
	return ack.Sequence, nil
}
