package evidence_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/natsserver"
	"github.com/blackdice/shipwarden/procedure"
)

// guarded is a bus with the users that a real one has; as connects as one of them.
func guarded(t *testing.T) (as func(user string) jetstream.JetStream) {
	t.Helper()
	users := []natsserver.User{{Name: "admin", Password: "admin", Publish: []string{">"}, Subscribe: []string{">"}}}
	for _, service := range []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor, procedure.ServiceRecorder} {
		r := eventstore.RightsOf(service)
		users = append(users, natsserver.User{Name: service, Password: service, Publish: r.Publish, Subscribe: r.Subscribe})
	}
	server, err := natsserver.Start(t.Context(), natsserver.Config{StoreDir: t.TempDir(), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	as = func(user string) jetstream.JetStream {
		conn, err := nats.Connect(server.ClientURL(), nats.UserInfo(user, user), nats.Timeout(time.Minute),
			nats.CustomInboxPrefix(eventstore.Inbox(user)), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		return js
	}
	if err := eventstore.Provision(t.Context(), as("admin"), eventstore.NewTopology(1, eventstoretest.Quota).Anywhere()); err != nil {
		t.Fatal(err)
	}
	return as
}

// Services may not purge what is kept, and need not: that a put is repeated, or comes
// over one that was changed, costs time at most.
func TestServicesPutEvidenceWithoutTheRightToPurge(t *testing.T) {
	t.Parallel()
	as := guarded(t)
	content := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	for _, service := range []string{procedure.ServiceApproval, procedure.ServiceValidator, procedure.ServiceExecutor} {
		if _, err := evidence.New(as(service)).Put(t.Context(), "text/plain", "output", content); err != nil {
			t.Errorf("%s: %v", service, err)
		}
	}
	bucket, err := as("admin").ObjectStore(t.Context(), eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	name := evidence.Digest(content)[len("sha256:"):]
	if _, err := bucket.Put(t.Context(), jetstream.ObjectMeta{Name: name}, bytes.NewReader([]byte("forged"))); err != nil {
		t.Fatal(err)
	}
	// The client waits for the purge that it is not given for as long as it may.
	executor := evidence.New(as(procedure.ServiceExecutor))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ref, err := executor.Put(ctx, "text/plain", "output", content)
	if err != nil {
		t.Fatalf("over a changed one: %v", err)
	}
	recorder := evidence.New(as(procedure.ServiceRecorder))
	got, err := recorder.Get(t.Context(), ref.GetDigest())
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the recorder reads %d bytes, %v", len(got), err)
	}
}

// A rollup is what a writer of the bucket can do that its rights cannot forbid. It
// takes documents away, and every one of them is missed under its digest.
func TestWhatAWriterWipedIsMissed(t *testing.T) {
	t.Parallel()
	as := guarded(t)
	ref, err := evidence.New(as(procedure.ServiceValidator)).Put(t.Context(), "text/plain", "verdict", []byte("failed"))
	if err != nil {
		t.Fatal(err)
	}
	wipe := nats.NewMsg("$O." + eventstore.BucketEvidence + ".C.x")
	wipe.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupAll)
	if _, err := as(procedure.ServiceExecutor).PublishMsg(t.Context(), wipe); err != nil {
		t.Fatalf("the documentation says that it can: %v", err)
	}
	if _, err := evidence.New(as(procedure.ServiceRecorder)).Get(t.Context(), ref.GetDigest()); !errors.Is(err, evidence.ErrNotFound) {
		t.Errorf("got %v, want that it is not there", err)
	}
}
