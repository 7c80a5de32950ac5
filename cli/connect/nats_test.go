package connect_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/internal/natsserver"
)

// A user who may receive replies on an inbox of their own only, as the bus allows.
func TestAUserMayHaveAnInboxOfTheirOwn(t *testing.T) {
	server, err := natsserver.Start(t.Context(), natsserver.Config{StoreDir: t.TempDir(), Users: []natsserver.User{
		{Name: "ci", Password: "s3cret", Publish: []string{"ask"}, Subscribe: []string{"_INBOX_ci.>"}},
		{Name: "admin", Password: "adm1n"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	admin, err := nats.Connect(server.ClientURL(), nats.UserInfo("admin", "adm1n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	if _, err := admin.Subscribe("ask", func(m *nats.Msg) { _ = m.Respond([]byte("heard")) }); err != nil {
		t.Fatal(err)
	}
	if err := admin.Flush(); err != nil {
		t.Fatal(err)
	}

	password := filepath.Join(t.TempDir(), "password")
	write(t, password, []byte("s3cret\n"))
	s := settings.Settings{NATSURL: server.ClientURL(), NATSUser: "ci", NATSPasswordFile: password, NATSInboxPrefix: "_INBOX_ci"}
	conn, err := connect.NATS(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if m, err := conn.RequestWithContext(t.Context(), "ask", nil); err != nil || string(m.Data) != "heard" {
		t.Errorf("no reply: %v", err)
	}

	write(t, password, []byte("wr0ng\n"))
	_, err = connect.NATS(t.Context(), s)
	if exit.Code(err) != exit.Unreachable || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("wrong password: %v", err)
	}
}

func TestAnIncompleteIdentityIsRefused(t *testing.T) {
	for _, s := range []settings.Settings{
		{},
		{NATSURL: "nats://127.0.0.1:1", NATSUser: "ci"},
		{NATSURL: "nats://127.0.0.1:1", NATSUser: "ci", NATSPasswordFile: "nothing"},
		{NATSURL: "nats://127.0.0.1:1", NATSCreds: "nothing"},
		{NATSURL: "tls://127.0.0.1:1", CAFile: "nothing"},
	} {
		if _, err := connect.NATS(t.Context(), s); exit.Code(err) != exit.Usage {
			t.Errorf("%+v: error %v", s, err)
		}
	}
}
