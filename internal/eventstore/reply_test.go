package eventstore_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natsserver"
)

// ownAccount is the bus with an account for pipelines, as docs/operations.md has it.
const ownAccount = `accounts {
  BUS {
    jetstream: enabled
    users: [{user: admin, password: admin}]
    exports: [
      {service: "request.>", accounts: [PIPELINES]}
      {stream: "answer.>", accounts: [PIPELINES]}
    ]
  }
  PIPELINES {
    users: [{user: ci, password: ci, permissions: {publish: ["request.>"], subscribe: ["answer.>", "_INBOX.>"]}}]
    imports: [
      {service: {account: BUS, subject: "request.>"}}
      {stream: {account: BUS, subject: "answer.>"}}
    ]
  }
}
`

// TestAReplySubjectLeadsNowhereFromAnAccountOfItsOwn: the server sends its receipt for a
// request to the reply subject that the requester chose, in the requester's account. In one
// account with the record that is stored there, as a message that nobody signed, which
// parks and never counts; from an account of its own it does not come that far.
func TestAReplySubjectLeadsNowhereFromAnAccountOfItsOwn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bus.conf")
	if err := os.WriteFile(file, []byte(ownAccount), 0o600); err != nil {
		t.Fatal(err)
	}
	one := []natsserver.User{
		{Name: "admin", Password: "admin"},
		{Name: "ci", Password: "ci", Publish: []string{"request.>"}, Subscribe: []string{"answer.>", "_INBOX.>"}},
	}
	const forged, others = "rel.shop-1.approval.requested", "answer.production.other.k"
	for name, c := range map[string]struct {
		cfg                  natsserver.Config
		wantRel, wantAnswers []string
	}{
		"one account":           {natsserver.Config{Users: one}, []string{forged}, []string{others}},
		"an account of its own": {natsserver.Config{ConfigFile: file}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.StoreDir = t.TempDir()
			server, err := natsserver.Start(t.Context(), c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(server.Shutdown)
			admin, err := jetstream.New(connect(t, server, "admin"))
			if err != nil {
				t.Fatal(err)
			}
			if err := eventstore.Provision(t.Context(), admin, eventstore.NewTopology(1, 0)); err != nil {
				t.Fatal(err)
			}
			conn := connect(t, server, "ci")
			heard, err := conn.SubscribeSync("answer.production.shop.>")
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range []string{forged, others} {
				if err := conn.PublishMsg(&nats.Msg{Subject: "request.production.shop", Reply: to, Data: []byte("{}")}); err != nil {
					t.Fatal(err)
				}
			}
			// Its own receipt comes to its own inbox, after those before it were sent.
			js, err := jetstream.New(conn)
			if err != nil {
				t.Fatal(err)
			}
			ack, err := js.Publish(t.Context(), "request.production.shop", []byte("{}"))
			if err != nil || ack.Stream != eventstore.StreamRequests || ack.Sequence != 3 {
				t.Fatalf("receipt %+v, %v", ack, err)
			}
			// What is stored in REL behind them says that they were looked at there as well.
			const behind = "rel.shop-2.approval.requested"
			if _, err := admin.Publish(t.Context(), behind, []byte("{}")); err != nil {
				t.Fatal(err)
			}
			// Answers are heard.
			if _, err := admin.Publish(t.Context(), "answer.production.shop.k", []byte("{}")); err != nil {
				t.Fatal(err)
			}
			if _, err := heard.NextMsgWithContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			for stream, want := range map[string][]string{
				eventstore.StreamEvents: append(c.wantRel, behind), eventstore.StreamAnswers: append(c.wantAnswers, "answer.production.shop.k"),
			} {
				s, err := admin.Stream(t.Context(), stream)
				if err != nil {
					t.Fatal(err)
				}
				info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, slices.Sorted(maps.Keys(info.State.Subjects))); diff != "" {
					t.Errorf("%s holds something else:\n%s", stream, diff)
				}
			}
		})
	}
}
