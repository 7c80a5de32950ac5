package channel_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/dnstest"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

// TestAReceiversNameLeadsNowhereElse has a name server that answers well first and badly
// afterwards, for a chat and for a relay.
func TestAReceiversNameLeadsNowhereElse(t *testing.T) {
	hook, mails := newReceiver(t, status(200)), newRelay(t, "")
	_, port, _ := strings.Cut(mails.Address, ":")
	dnstest.Use(t, map[string][]string{
		"chat.localhost": {"127.0.0.1", "169.254.169.254"}, "relay.localhost": {"127.0.0.1", "169.254.169.254"},
		"here.test": {"127.0.0.1"}, "meta.test": {"169.254.169.254"},
	})
	chat := func(name string) *channel.Channel {
		return open(t, webhook, strings.Replace(hook.URL, "127.0.0.1", name, 1))
	}
	relay := func(name string) *channel.Channel {
		return mailbox(t, "smtp", mails, func(c *channel.Config) { c.URL, c.Secrets = "smtp://"+name+":"+port, nil })
	}
	for kind, test := range map[string]struct {
		at    func(name string) *channel.Channel
		first string
	}{
		"chat": {chat, "HTTP 200 OK"},
		// It was reached, and offers no TLS: a name is not believed to be this machine's.
		"relay": {relay, "the relay offers no TLS"},
	} {
		at := test.at
		turning := at(kind + ".localhost")
		if receipt, _ := send(t.Context(), turning, message()); receipt.GetResponse() != test.first {
			t.Errorf("%s: receipt %v", kind, receipt)
		}
		for _, c := range []*channel.Channel{turning, at("here.test"), at("meta.test")} {
			receipt, _ := send(t.Context(), c, message())
			if receipt.GetDelivered() || receipt.GetAttempts() != 1 || receipt.GetResponse() != "the address is one that must not be reached" {
				t.Errorf("%s: receipt %v", kind, receipt)
			}
		}
	}
	if hook.count() != 1 || len(mails.Mails()) != 0 {
		t.Errorf("%d notices and %d mails arrived", hook.count(), len(mails.Mails()))
	}
}
