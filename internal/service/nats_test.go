package service_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/blackdice/shipwarden/internal/natsserver"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func startNATS(t *testing.T, cfg natsserver.Config) *natsserver.Server {
	t.Helper()
	cfg.StoreDir = t.TempDir()
	server, err := natsserver.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server
}

func connect(t *testing.T, cfg *configv1.Nats) *nats.Conn {
	t.Helper()
	conn, err := service.ConnectNATS(t.Context(), "recorder", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// ready waits until the connection's readiness check passes.
func ready(t *testing.T, conn *nats.Conn) {
	t.Helper()
	natstest.Eventually(t, "a connection", func() bool { return service.NATSCheck(conn)(t.Context()) == nil })
}

func TestAConnectionIsKeptOverTheServersRestartAndReadinessFlips(t *testing.T) {
	n := natstest.Single(t)
	conn := connect(t, &configv1.Nats{Urls: n.URLs()})
	check := service.NATSCheck(conn)
	ready(t, conn)
	n.Stop(t, 0)
	natstest.Eventually(t, "a failing check", func() bool { return errors.Is(check(t.Context()), service.ErrNoConnection) })
	n.Start(t, 0)
	ready(t, conn)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := service.WaitReady(t.Context(), service.ProbeJetStream(js)); err != nil {
		t.Error(err)
	}
}

func TestAServiceMayStartBeforeTheBus(t *testing.T) {
	n := natstest.Single(t)
	n.Stop(t, 0)
	conn := connect(t, &configv1.Nats{Urls: n.URLs()})
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := service.WaitReady(short, service.ProbeJetStream(js)); !errors.Is(err, service.ErrNotReady) {
		t.Errorf("without a bus: got %v, want ErrNotReady", err)
	}
	answered := make(chan error, 1)
	go func() { answered <- service.WaitReady(t.Context(), service.ProbeJetStream(js)) }()
	n.Start(t, 0)
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestAConsumerProbeWaitsForTheConsumer(t *testing.T) {
	n := natstest.Single(t)
	probe := service.ProbeConsumer(n.JetStream(), "REL", "recorder")
	if err := probe(t.Context()); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("without the stream: got %v", err)
	}
	stream, err := n.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "REL", Subjects: []string{"rel.>"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "recorder"}); err != nil {
		t.Fatal(err)
	}
	if err := service.WaitReady(t.Context(), probe); err != nil {
		t.Error(err)
	}
}

// refusalCounter counts the log lines in which the server refuses a client.
type refusalCounter struct{ count atomic.Int64 }

func (r *refusalCounter) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("authentication error")) {
		r.count.Add(1)
	}
	return len(line), nil
}

func TestAChangedPasswordIsTakenUpWithoutARestart(t *testing.T) {
	var refusals refusalCounter
	server := startNATS(t, natsserver.Config{
		Users: []natsserver.User{{Name: "recorder", Password: "right"}},
		Log:   slog.New(slog.NewTextHandler(&refusals, nil)),
	})
	path := write(t, "password", "wrong\n", 0o600)
	conn := connect(t, &configv1.Nats{Urls: []string{server.ClientURL()}, User: "recorder", PasswordFile: path})
	// Left to itself the client library gives up after the second refusal.
	natstest.Eventually(t, "a third refusal", func() bool { return refusals.count.Load() >= 3 })
	if err := os.WriteFile(path, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ready(t, conn)
}

func TestRepliesComeToTheServicesOwnInbox(t *testing.T) {
	server := startNATS(t, natsserver.Config{Users: []natsserver.User{
		{Name: "recorder", Password: "p", Publish: []string{"ask"}, Subscribe: []string{service.InboxPrefix("recorder") + ".>"}},
		{Name: "other", Password: "p"},
	}})
	conn := connect(t, &configv1.Nats{
		Urls: []string{server.ClientURL()}, User: "recorder", PasswordFile: write(t, "p", "p", 0o600),
	})
	other, err := nats.Connect(server.ClientURL(), nats.UserInfo("other", "p"), nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	if _, err := other.Subscribe("ask", func(m *nats.Msg) { _ = m.Respond([]byte(m.Reply)) }); err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	ready(t, conn)
	answer, err := conn.Request("ask", nil, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer.Data), "_INBOX_recorder.") {
		t.Errorf("the answer went to %s", answer.Data)
	}
}

func TestAnNKeyLogsIn(t *testing.T) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	server := startNATS(t, natsserver.Config{
		ConfigFile: write(t, "nats.conf", "authorization { users: [{nkey: "+public+"}] }\n", 0o600),
	})
	conn := connect(t, &configv1.Nats{
		Urls: []string{server.ClientURL()}, NkeySeedFile: write(t, "seed", string(seed), 0o600),
	})
	ready(t, conn)
}

func TestNATSOverMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	serverConfig := serverTLS(t, ca.issue(t, "nats"))
	server := startNATS(t, natsserver.Config{TLS: serverConfig})
	address := []string{strings.Replace(server.ClientURL(), "nats://", "tls://", 1)}
	ready(t, connect(t, &configv1.Nats{Urls: address, Tls: ca.issue(t, "recorder")}))

	strange := newAuthority(t).issue(t, "stranger")
	strange.CaFile = ca.file
	stranger := connect(t, &configv1.Nats{Urls: address, Tls: strange})
	if err := service.NATSCheck(stranger)(t.Context()); !errors.Is(err, service.ErrNoConnection) {
		t.Errorf("a stranger's certificate: got %v", err)
	}
}

func TestBadNATSConfigurationIsRefusedAtTheStart(t *testing.T) {
	secret := write(t, "p", "p", 0o600)
	urls := []string{"nats://127.0.0.1:1"}
	for name, test := range map[string]struct {
		cfg  *configv1.Nats
		want error // nil: any
	}{
		"no password file": {&configv1.Nats{Urls: urls, User: "a"}, os.ErrNotExist},
		"exposed password": {&configv1.Nats{Urls: urls, User: "a", PasswordFile: write(t, "p", "p", 0o644)}, service.ErrExposed},
		"no seed":          {&configv1.Nats{Urls: urls, NkeySeedFile: "absent"}, os.ErrNotExist},
		"not a seed":       {&configv1.Nats{Urls: urls, NkeySeedFile: secret}, nil},
		"no credentials":   {&configv1.Nats{Urls: urls, CredentialsFile: "absent"}, os.ErrNotExist},
		"two identities":   {&configv1.Nats{Urls: urls, User: "a", PasswordFile: secret, CredentialsFile: secret}, service.ErrIdentities},
		"half of TLS":      {&configv1.Nats{Urls: urls, Tls: &configv1.Tls{KeyFile: secret}}, service.ErrTLSPair},
		"not an address":   {&configv1.Nats{Urls: []string{"nats://%zz"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := service.ConnectNATS(t.Context(), "recorder", test.cfg)
			if err == nil {
				conn.Close()
			}
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestWhatWasPublishedIsSentBeforeTheConnectionCloses(t *testing.T) {
	n := natstest.Single(t)
	got, err := n.Conn().SubscribeSync("last.words")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, &configv1.Nats{Urls: n.URLs()})
	ready(t, conn)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- service.HoldNATS(conn)(ctx) }()
	if err := conn.Publish("last.words", []byte("farewell")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !conn.IsClosed() {
		t.Errorf("the connection is %s", conn.Status())
	}
	if _, err := got.NextMsg(10 * time.Second); err != nil {
		t.Errorf("the message did not arrive: %v", err)
	}
}
