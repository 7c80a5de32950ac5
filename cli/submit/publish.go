package submit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// contentType says that the body is the binary form.
const contentType = "application/protobuf"

const (
	// ackTimeout bounds the wait for one acknowledgement, publishWait the pause
	// before the next attempt.
	ackTimeout  = 3 * time.Second
	publishWait = 250 * time.Millisecond
)

var (
	// ErrNotStored means that the bus did not acknowledge the request.
	ErrNotStored = errors.New("the bus did not take the request")
	// ErrNotAllowed means that the bus does not let the caller publish the request
	// or listen for its answer.
	ErrNotAllowed = errors.New("the bus does not allow it")
	// ErrNoAnswer means that the request is stored and nobody has answered it yet.
	ErrNoAnswer = errors.New("no answer yet")
)

// Signer signs requests with a key that the procedure document trusts.
type Signer struct {
	// ID is the key's id in the procedure document.
	ID string
	// Key is the private key.
	Key ed25519.PrivateKey
}

// Subject is where a request is published.
func Subject(r *releasev1.Request) string {
	return strings.Join([]string{"request", r.GetEnvironment(), r.GetService()}, ".")
}

// answerSubject is where its answer comes.
func answerSubject(r *releasev1.Request) string {
	return strings.Join([]string{"answer", r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey()}, ".")
}

// Submit publishes the request and returns its answer. signer may be nil. An error
// wraps ErrNotAllowed or ErrNotStored where the request is not known to be stored, and
// ErrNoAnswer where it is and ctx ended first.
func Submit(ctx context.Context, conn *nats.Conn, request *releasev1.Request, signer *Signer) (*releasev1.Answer, error) {
	msg, err := message(Subject(request), request, signer, intake.SignRequest)
	if err != nil {
		return nil, err
	}
	return send(ctx, conn, msg, answerSubject(request), request.GetIdempotencyKey())
}

// late ends the subjects of evidence that comes after its request.
const late = ".evidence"

// Bring publishes the evidence of a request for the release that was made of it already,
// and returns the answer, as Submit does.
func Bring(ctx context.Context, conn *nats.Conn, request *releasev1.Request, signer *Signer) (*releasev1.Answer, error) {
	msg, err := message(Subject(request)+late, &releasev1.Evidence{
		IdempotencyKey: request.GetIdempotencyKey(), Service: request.GetService(), Environment: request.GetEnvironment(), Evidence: request.GetEvidence(),
	}, signer, intake.SignEvidence)
	if err != nil {
		return nil, err
	}
	return send(ctx, conn, msg, answerSubject(request)+late, request.GetIdempotencyKey())
}

// send publishes a message and waits for what is answered to it.
func send(ctx context.Context, conn *nats.Conn, msg *nats.Msg, answerTo, key string) (*releasev1.Answer, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, fmt.Errorf("open jetstream: %w", err)
	}
	// Before the request is out: an answer that nobody listens to is gone.
	answers, err := listen(ctx, conn, answerTo)
	if err != nil {
		return nil, err
	}
	defer answers.close()
	ack, err := publish(ctx, conn, js, msg)
	if err != nil {
		return nil, err
	}
	answer, err := answers.wait(ctx, js, ack.Sequence)
	if err != nil {
		return nil, fmt.Errorf("request %s on %s, stored as number %d: %w", key, msg.Subject, ack.Sequence, err)
	}
	return answer, nil
}

// message makes the message. Its id is new each time: it makes a repeated attempt of
// this publication one message, while a request that is sent again on purpose, for
// instance because the procedure document was mended, is looked at again.
func message(subject string, request proto.Message, signer *Signer, sign func(string, ed25519.PrivateKey, []byte) string) (*nats.Msg, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("name request: %w", err)
	}
	msg := nats.NewMsg(subject)
	msg.Data = body
	msg.Header.Set("Content-Type", contentType)
	msg.Header.Set(jetstream.MsgIDHeader, "request-"+id.String())
	if signer != nil {
		msg.Header.Set(intake.SignatureHeader, sign(signer.ID, signer.Key, body))
	}
	return msg, nil
}

// denied returns the bus's last word where that was a refusal. It comes beside the
// connection's answers, never as one of them.
func denied(conn *nats.Conn) error {
	if err := conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("%w: %w", ErrNotAllowed, err)
	}
	return nil
}

// publish repeats the publication until it is acknowledged or ctx ends.
func publish(ctx context.Context, conn *nats.Conn, js jetstream.JetStream, msg *nats.Msg) (*jetstream.PubAck, error) {
	for {
		attempt, cancel := context.WithTimeout(ctx, ackTimeout)
		ack, err := js.PublishMsg(attempt, msg)
		cancel()
		if err == nil {
			return ack, nil
		}
		if err := denied(conn); err != nil {
			return nil, fmt.Errorf("publish on %s: %w", msg.Subject, err)
		}
		var api *jetstream.APIError
		if errors.As(err, &api) {
			return nil, fmt.Errorf("publish on %s: %w: %w", msg.Subject, ErrNotStored, err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("publish on %s: %w: %w", msg.Subject, ErrNotStored, err)
		case <-time.After(publishWait):
		}
	}
}
