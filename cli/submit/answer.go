package submit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// lookEvery is the time between two looks into the stream of answers, for the case
// that the connection was lost at the wrong moment.
const lookEvery = 2 * time.Second

// ErrAnswer means that what came as the answer cannot be read.
var ErrAnswer = errors.New("unreadable answer")

// answers receives what comes on the subject of one idempotency key.
type answers struct {
	subject string
	sub     *nats.Subscription
	came    chan *nats.Msg
}

func listen(ctx context.Context, conn *nats.Conn, subject string) (*answers, error) {
	a := &answers{subject: subject, came: make(chan *nats.Msg, 16)}
	var err error
	if a.sub, err = conn.ChanSubscribe(subject, a.came); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", subject, err)
	}
	flush, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	if err := conn.FlushWithContext(flush); err != nil {
		a.close()
		return nil, fmt.Errorf("listen on %s: %w: %w", subject, ErrNotStored, err)
	}
	if err := denied(conn); err != nil {
		a.close()
		return nil, fmt.Errorf("listen on %s: %w", subject, err)
	}
	return a, nil
}

func (a *answers) close() { _ = a.sub.Unsubscribe() }

// wait returns the answer to the request that was stored under that number.
func (a *answers) wait(ctx context.Context, js jetstream.JetStream, number uint64) (*releasev1.Answer, error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	if answer, err := a.stored(ctx, js, number); answer != nil || err != nil {
		return answer, err
	}
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w on %s: %w", ErrNoAnswer, a.subject, ctx.Err())
		case m := <-a.came:
			if isAnswer(m.Header, number) {
				return decode(m.Header, m.Data)
			}
		case <-look.C:
			if answer, err := a.stored(ctx, js, number); answer != nil || err != nil {
				return answer, err
			}
		}
	}
}

// stored looks whether the answer lies in the stream already, nil where it does not,
// or where the caller may not look.
func (a *answers) stored(ctx context.Context, js jetstream.JetStream, number uint64) (*releasev1.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	stream, err := js.Stream(ctx, eventstore.StreamAnswers)
	if err != nil {
		return nil, nil //nolint:nilnil // the subscription is the way, this is the second chance
	}
	m, err := stream.GetLastMsgForSubject(ctx, a.subject)
	if err != nil || !isAnswer(m.Header, number) {
		return nil, nil //nolint:nilnil // as above
	}
	return decode(m.Header, m.Data)
}

// isAnswer reports whether the message answers the request with that number.
func isAnswer(h nats.Header, number uint64) bool {
	return h.Get(jetstream.MsgIDHeader) == fmt.Sprintf("answer-%d", number)
}

func decode(h nats.Header, body []byte) (*releasev1.Answer, error) {
	out := &releasev1.Answer{}
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	var err error
	if media == "application/json" || media == "" && strings.HasPrefix(string(body), "{") {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, out)
	} else {
		err = proto.Unmarshal(body, out)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return out, nil
}
