package natsserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/natsserver"
)

func TestUsersMayDoOnlyWhatTheirListsAllow(t *testing.T) {
	server := run(t, natsserver.Config{StoreDir: t.TempDir(), Users: []natsserver.User{
		{Name: "writer", Password: "w", Publish: []string{"in.>"}, Subscribe: []string{}},
		{Name: "reader", Password: "r", Publish: []string{}, Subscribe: []string{"in.>"}},
	}})
	if _, err := nats.Connect(server.ClientURL(), nats.Timeout(time.Minute)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("nameless client: got %v, want ErrAuthorization", err)
	}
	if _, err := nats.Connect(server.ClientURL(), nats.UserInfo("writer", "x"), nats.Timeout(time.Minute)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("wrong password: got %v, want ErrAuthorization", err)
	}

	refused := make(chan error, 4)
	onError := nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	writer := dial(t, server, nats.UserInfo("writer", "w"), onError)
	reader := dial(t, server, nats.UserInfo("reader", "r"), onError)

	sub, err := reader.SubscribeSync("in.a")
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := writer.Publish("in.a", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := sub.NextMsg(10 * time.Second); err != nil {
		t.Errorf("an allowed message did not arrive: %v", err)
	}

	for name, try := range map[string]func() error{
		"writer publishes elsewhere": func() error { return writer.Publish("out.a", nil) },
		"writer subscribes":          func() error { _, err := writer.SubscribeSync("in.a"); return err },
		"reader publishes":           func() error { return reader.Publish("in.a", nil) },
	} {
		if err := try(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		select {
		case err := <-refused:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: got %v, want ErrPermissionViolation", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: not refused", name)
		}
	}
}

func TestAccountsComeFromANATSConfigurationFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts.conf")
	if err := os.WriteFile(path, []byte(`
accounts {
  BUS:      { jetstream: enabled, users: [{user: bus, password: b}] }
  RECORDER: { users: [{user: recorder, password: r}] }
}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	server := run(t, natsserver.Config{StoreDir: t.TempDir(), ConfigFile: path, SyncAlways: true})
	if !server.SyncAlways() {
		t.Error("the file switched SyncAlways off")
	}
	bus := dial(t, server, nats.UserInfo("bus", "b"))
	recorder := dial(t, server, nats.UserInfo("recorder", "r"))
	sub, err := recorder.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := recorder.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := bus.Publish("secret", nil); err != nil {
		t.Fatal(err)
	}
	if err := bus.Flush(); err != nil {
		t.Fatal(err)
	}
	// A message of the own account after it shows that nothing came before.
	if err := recorder.Publish("own", nil); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if msg.Subject != "own" {
		t.Errorf("account RECORDER saw %q of another account", msg.Subject)
	}
}
