package channel_test

import (
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/mail/mailtest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

// TestARealMailServerDelivers: a server that people run takes a notice, by STARTTLS and by TLS
// at once, and puts it into the mailboxes of those for whom it is, and nobody's else; of an
// address that it does not know it says so, and without the password it takes nothing.
func TestARealMailServerDelivers(t *testing.T) {
	server := mailtest.StartServer(t, secret, "alice", "bob", "ops", "eve")
	to := func(scheme, address, password string) *channel.Channel {
		t.Helper()
		c, err := channel.New(channel.Config{
			Name: "ops", Kind: configv1.ChannelAddress_KIND_MAIL, URL: scheme + "://" + strings.Replace(mailtest.Account, "@", "%40", 1) + "@" + address,
			Secrets: []string{password}, Roots: server.Roots, Timeout: 20 * time.Second, Backoff: time.Millisecond, Now: func() time.Time { return clock },
			Mail: &configv1.Mail{
				From: "shipwarden@" + mailtest.Domain, To: []string{"ops@" + mailtest.Domain},
				People: map[string]string{"alice": "alice@" + mailtest.Domain, "bob": "bob@" + mailtest.Domain, "gus": "gus@" + mailtest.Domain},
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for scheme, address := range map[string]string{"smtp": server.Submission, "smtps": server.Submissions} {
		m := message()
		m.Key += "/" + scheme
		m.Subject = "Größe " + scheme + "\r\nBcc: eve@" + mailtest.Domain
		m.Text = "line\r\n.\r\nRCPT TO:<eve@" + mailtest.Domain + ">\r\nthe last line of " + scheme
		m.People = []string{"alice", "gus"}
		receipt, certain := send(t.Context(), to(scheme, address, secret), m)
		if !receipt.GetDelivered() || !certain || !slices.Equal(receipt.GetReached(), []string{"alice"}) {
			t.Fatalf("%s: receipt %v", scheme, receipt)
		}
		for _, user := range []string{"alice", "ops"} {
			server.Box(t, user, "the last line of "+scheme)
		}
		noSecret(t, receipt.String())
	}
	got, err := mail.ReadMessage(strings.NewReader(server.Box(t, "ops", "Received: ")))
	if err != nil || got.Header.Get("Received") == "" || got.Header.Get("Bcc") != "" || got.Header.Get("Message-Id") == "" {
		t.Errorf("in the mailbox: %v, %v", got, err)
	}
	if receipt, _ := send(t.Context(), to("smtps", server.Submissions, "a guess"), message()); receipt.GetDelivered() {
		t.Errorf("without the password: %v", receipt)
	}
	for _, user := range []string{"bob", "eve"} {
		if server.Has(t, user) {
			t.Errorf("%s has a mail", user)
		}
	}
}
