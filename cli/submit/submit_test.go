package submit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natsserver"
	"github.com/blackdice/shipwarden/internal/natstest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

// streams makes the streams of requests and answers as the product does.
func streams(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for _, cfg := range eventstore.NewTopology(1, 64<<20).Streams {
		if slices.Contains([]string{eventstore.StreamRequests, eventstore.StreamAnswers}, cfg.Name) {
			if _, err := js.CreateStream(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
		}
	}
}

var request = &releasev1.Request{IdempotencyKey: "build-42", Service: "shop", Environment: "production"}

func put(t *testing.T, js jetstream.JetStream, number int, answer *releasev1.Answer) {
	t.Helper()
	body, err := proto.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	m := nats.NewMsg(answerSubject(request))
	m.Data = body
	m.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("answer-%d", number))
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

// An answer that came while the connection was gone lies in the stream.
func TestAnAnswerThatWasMissedIsRead(t *testing.T) {
	n := natstest.Single(t)
	streams(t, n.JetStream())
	put(t, n.JetStream(), 5, &releasev1.Answer{Release: "shop-1"})
	a, err := listen(t.Context(), n.Conn(), answerSubject(request))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	got, err := a.wait(t.Context(), n.JetStream(), 5)
	if err != nil || got.GetRelease() != "shop-1" {
		t.Errorf("%v, error %v", got, err)
	}
}

func TestAnswersToOtherRequestsAreNotTaken(t *testing.T) {
	n := natstest.Single(t)
	streams(t, n.JetStream())
	put(t, n.JetStream(), 4, &releasev1.Answer{Release: "stored"})
	a, err := listen(t.Context(), n.Conn(), answerSubject(request))
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	put(t, n.JetStream(), 6, &releasev1.Answer{Release: "heard"})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if got, err := a.wait(ctx, n.JetStream(), 5); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("%v, error %v", got, err)
	}
}

func TestWithoutAStreamTheRequestIsNotStored(t *testing.T) {
	n := natstest.Single(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Submit(ctx, n.Conn(), request, nil); !errors.Is(err, ErrNotStored) {
		t.Errorf("error %v", err)
	}
}

// What the bus refuses is told at once and as that, not as a timeout.
func TestWhatTheBusRefusesIsToldAsThat(t *testing.T) {
	for name, user := range map[string]natsserver.User{
		"publish on request.production.shop": {Publish: []string{"request.staging.>"}, Subscribe: []string{"_INBOX.>", "answer.production.>"}},
		"listen on answer.production.shop":   {Publish: []string{"request.>"}, Subscribe: []string{"_INBOX.>", "answer.staging.>"}},
	} {
		t.Run(name, func(t *testing.T) {
			user.Name, user.Password = "ci", "s3cret"
			server, err := natsserver.Start(t.Context(), natsserver.Config{StoreDir: t.TempDir(), Users: []natsserver.User{user}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Shutdown)
			conn, err := nats.Connect(server.ClientURL(), nats.UserInfo("ci", "s3cret"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Close)
			_, err = Submit(t.Context(), conn, request, nil)
			if !errors.Is(err, ErrNotAllowed) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestEveryMessageHasAnIDOfItsOwn(t *testing.T) {
	first, err := message(Subject(request), request, nil, intake.SignRequest)
	if err != nil {
		t.Fatal(err)
	}
	second, err := message(Subject(request), request, nil, intake.SignRequest)
	if err != nil {
		t.Fatal(err)
	}
	if first.Header.Get(jetstream.MsgIDHeader) == second.Header.Get(jetstream.MsgIDHeader) {
		t.Error("a request that is sent again on purpose would be dropped by the server")
	}
	if string(first.Data) != string(second.Data) || first.Subject != "request.production.shop" {
		t.Errorf("message on %s differs", first.Subject)
	}
}
