package command

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// desk answers requests as the approval service does, by simple rules: version 9 is
// refused, environment "silent" gets no answer, environment "signed" wants a
// signature, and the answer in environment "json" is JSON.
type desk struct {
	js     jetstream.JetStream
	public ed25519.PublicKey
	made   map[string]bool
}

// openDesk starts a server with the two streams and a desk on it.
func openDesk(t *testing.T, public ed25519.PublicKey) string {
	t.Helper()
	n := natstest.Single(t)
	js := n.JetStream()
	for _, cfg := range eventstore.NewTopology(1, 64<<20).Streams {
		if slices.Contains([]string{eventstore.StreamRequests, eventstore.StreamAnswers}, cfg.Name) {
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatalf("create stream %s: %v", cfg.Name, err)
			}
		}
	}
	consumer, err := js.CreateConsumer(t.Context(), eventstore.StreamRequests, jetstream.ConsumerConfig{AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{js: js, public: public, made: map[string]bool{}}
	running, err := consumer.Consume(func(m jetstream.Msg) {
		if err := d.answer(context.Background(), m); err != nil {
			t.Errorf("answer a request: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		running.Stop()
		<-running.Closed()
	})
	return n.URL()
}

func (d *desk) answer(ctx context.Context, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	if got := m.Headers().Get("Content-Type"); got != "application/protobuf" {
		return fmt.Errorf("content type %q", got)
	}
	if strings.HasSuffix(m.Subject(), ".evidence") {
		return d.late(ctx, m, meta.Sequence.Stream)
	}
	r := &releasev1.Request{}
	if err := proto.Unmarshal(m.Data(), r); err != nil {
		return err
	}
	id := procedure.ReleaseID(r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey())
	answer := &releasev1.Answer{
		Outcome: releasev1.Answer_OUTCOME_ACCEPTED, Release: id, ProcedureVersion: "3", IdempotencyKey: r.GetIdempotencyKey(),
		RequestDigest: fmt.Sprintf("%d pieces of evidence", len(r.GetEvidence())),
	}
	switch {
	case r.GetEnvironment() == "silent":
		return m.Ack()
	case strings.HasPrefix(r.GetVersion(), "9."):
		answer.Outcome, answer.Release = releasev1.Answer_OUTCOME_REFUSED, ""
		answer.Violations = []*releasev1.Violation{
			{Field: "version", Rule: "version.foreign", Message: "there is no 9\x1b[2J"},
			{Field: "owner", Rule: "person.unknown", Message: `"olu" is no person of the procedure`},
		}
	case r.GetEnvironment() == "signed" && !d.signed(m):
		answer.Outcome, answer.Release = releasev1.Answer_OUTCOME_REFUSED, ""
		answer.Violations = []*releasev1.Violation{{Rule: "signature.bad", Message: "signed requests only"}}
	case d.made[id]:
		answer.Outcome = releasev1.Answer_OUTCOME_REPEATED
	}
	d.made[id] = true
	subject := strings.Replace(m.Subject(), "request.", "answer.", 1) + "." + r.GetIdempotencyKey()
	// An answer to somebody else's request with the same key comes first.
	if err := d.publish(ctx, r, subject, meta.Sequence.Stream+1000, &releasev1.Answer{Outcome: releasev1.Answer_OUTCOME_REFUSED}); err != nil {
		return err
	}
	if err := d.publish(ctx, r, subject, meta.Sequence.Stream, answer); err != nil {
		return err
	}
	return m.Ack()
}

// late takes evidence for a release that was made, each piece once.
func (d *desk) late(ctx context.Context, m jetstream.Msg, number uint64) error {
	e := &releasev1.Evidence{}
	if err := proto.Unmarshal(m.Data(), e); err != nil {
		return err
	}
	r := &releasev1.Request{Environment: e.GetEnvironment(), Service: e.GetService(), IdempotencyKey: e.GetIdempotencyKey()}
	id := procedure.ReleaseID(r.GetEnvironment(), r.GetService(), r.GetIdempotencyKey())
	answer := &releasev1.Answer{Outcome: releasev1.Answer_OUTCOME_ACCEPTED, Release: id, ProcedureVersion: "3", IdempotencyKey: e.GetIdempotencyKey()}
	brought := id + string(slices.Concat(e.GetEvidence()...))
	switch {
	case !d.made[id]:
		answer.Outcome, answer.Release = releasev1.Answer_OUTCOME_REFUSED, ""
		answer.Violations = []*releasev1.Violation{{Field: "idempotency_key", Rule: "release.unknown", Message: "no release was made of this request"}}
	case d.made[brought]:
		answer.Outcome = releasev1.Answer_OUTCOME_REPEATED
	}
	d.made[brought] = d.made[id]
	subject := "answer." + r.GetEnvironment() + "." + r.GetService() + "." + r.GetIdempotencyKey() + ".evidence"
	if err := d.publish(ctx, r, subject, number, answer); err != nil {
		return err
	}
	return m.Ack()
}

func (d *desk) publish(ctx context.Context, r *releasev1.Request, subject string, number uint64, answer *releasev1.Answer) error {
	out := nats.NewMsg(subject)
	var err error
	if r.GetEnvironment() == "json" {
		out.Header.Set("Content-Type", "application/json")
		out.Data, err = protojson.Marshal(answer)
	} else {
		out.Header.Set("Content-Type", "application/protobuf")
		out.Data, err = proto.Marshal(answer)
	}
	if err != nil {
		return err
	}
	out.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("answer-%d", number))
	_, err = d.js.PublishMsg(ctx, out)
	return err
}

func (d *desk) signed(m jetstream.Msg) bool {
	id, encoded, _ := strings.Cut(m.Headers().Get(intake.SignatureHeader), " ")
	signature, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && id == "ci-shop" && ed25519.Verify(d.public, dsse.PAE(intake.RequestPayloadType, m.Data()), signature)
}
