package channel_test

import (
	"errors"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/mail/mailtest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
)

func newRelay(t *testing.T, secure string) *mailtest.Relay {
	t.Helper()
	return mailtest.Start(t, secure, secret)
}

func letters() *configv1.Mail {
	return &configv1.Mail{
		From: "shipwarden@example.com", To: []string{"ops@example.com"}, People: map[string]string{"alice": "alice@example.com", "bob": "bob@example.org"},
	}
}

func mailbox(t *testing.T, scheme string, r *mailtest.Relay, change ...func(*channel.Config)) *channel.Channel {
	t.Helper()
	config := channel.Config{
		Name: "ops", Kind: configv1.ChannelAddress_KIND_MAIL, URL: scheme + "://ship@" + r.Address, Secrets: []string{secret}, Mail: letters(), Roots: r.Roots,
		Timeout: 5 * time.Second, Backoff: time.Millisecond, Now: func() time.Time { return clock },
	}
	for _, each := range change {
		each(&config)
	}
	c, err := channel.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMailIsHandedToARealRelay(t *testing.T) {
	for scheme, secure := range map[string]string{"smtps": "smtps", "smtp": "starttls"} {
		r := newRelay(t, secure)
		m := message()
		m.Subject = "Größe\r\nBcc: eve@evil.example"
		m.Text = "line\r\n.\r\nMAIL FROM:<eve@evil.example>\n"
		m.People = []string{"alice", "carol", "bob", "alice"}
		receipt, certain := send(t.Context(), mailbox(t, scheme, r), m)
		if !receipt.GetDelivered() || !certain || receipt.GetResponse() != "taken by the relay for 3 of 3 addresses" || !slices.Equal(receipt.GetReached(), []string{"alice", "bob"}) {
			t.Fatalf("%s: receipt %v", scheme, receipt)
		}
		if len(r.Mails()) != 1 || r.Mails()[0].User != "ship" {
			t.Fatalf("%s: %d mails", scheme, len(r.Mails()))
		}
		if diff := cmp.Diff([]string{"alice@example.com", "bob@example.org", "ops@example.com"}, r.Mails()[0].To); diff != "" {
			t.Errorf("%s: to (-want +got):\n%s", scheme, diff)
		}
		got, err := mail.ReadMessage(strings.NewReader(r.Mails()[0].Body))
		if err != nil {
			t.Fatal(err)
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
		if err != nil || subject != "Größe Bcc: eve@evil.example" || got.Header.Get("Bcc") != "" || got.Header.Get("To") != "ops:;" {
			t.Errorf("%s: %v, %v", scheme, got.Header, err)
		}
		if got.Header.Get("From") != "Shipwarden <shipwarden@example.com>" || got.Header.Get("Message-Id") == "" || got.Header.Get("Date") != "Tue, 01 Dec 2026 12:00:00 +0000" {
			t.Errorf("%s: %v", scheme, got.Header)
		}
		noSecret(t, receipt.String()+r.Mails()[0].Body)
	}
}

func TestWhatOfMailIsTriedAgain(t *testing.T) {
	later := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "your password was " + secret}
	never := &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCodeNotSet, Message: "your password was " + secret}
	only := func(bad string, err error) func(string) error {
		return func(to string) error {
			if strings.HasPrefix(to, bad) {
				return err
			}
			return nil
		}
	}
	for _, test := range []struct {
		name      string
		rcpt      func(string) error
		data      []error
		cut       bool
		delivered bool
		certain   bool
		attempts  uint32
		mails     int
		response  string
	}{
		{"greylisted", nil, []error{later, later, nil}, false, true, true, 3, 1, "taken by the relay for 2 of 2 addresses"},
		{"later for good", nil, []error{later}, false, false, true, 4, 0, "the relay answered 451; given up"},
		{"never", nil, []error{never}, false, false, true, 1, 0, "the relay answered 554"},
		{"one address is none", only("alice", never), nil, false, true, true, 1, 1, "taken by the relay for 1 of 2 addresses"},
		{"none is one", only("", never), nil, false, false, true, 1, 0, "the relay takes mail for none of 2 addresses"},
		{"one may be later", only("ops", later), nil, false, false, true, 4, 0, "the relay answered 451; given up"},
		{"lost after the dot", nil, nil, true, false, false, 1, 1, "the connection was lost; nobody can tell whether it arrived"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRelay(t, "smtps")
			r.Rcpt, r.Data, r.Cut = test.rcpt, test.data, test.cut
			m := message()
			m.People = []string{"alice"}
			receipt, certain := send(t.Context(), mailbox(t, "smtps", r), m)
			if receipt.GetDelivered() != test.delivered || certain != test.certain || receipt.GetAttempts() != test.attempts || receipt.GetResponse() != test.response || len(r.Mails()) != test.mails {
				t.Errorf("receipt %v, certain %v, %d mails", receipt, certain, len(r.Mails()))
			}
			noSecret(t, receipt.String())
		})
	}
}

// A password is told to nobody who might not be the relay, and a mail to nobody who listens.
func TestMailAsksForTLS(t *testing.T) {
	for _, test := range []struct {
		name, secure, scheme, want string
		change                     func(*channel.Config)
	}{
		{"none", "", "smtp", "the relay offers no TLS", nil},
		{"unknown", "smtps", "smtps", "the receiver's certificate is not trusted", func(c *channel.Config) { c.Roots = nil }},
		{"unknown, asked for", "starttls", "smtp", "the receiver's certificate is not trusted", func(c *channel.Config) { c.Roots = nil }},
		{"not spoken", "", "smtps", "the receiver does not speak TLS", nil},
		{"wrong password", "smtps", "smtps", "the relay answered 535", func(c *channel.Config) { c.Secrets = []string{"guess"} }},
		{"somewhere else", "", "smtp", "the address is one that must not be reached", func(c *channel.Config) { c.URL = "smtp://169.254.169.254:25"; c.Secrets = nil }},
	} {
		r := newRelay(t, test.secure)
		change := test.change
		if change == nil {
			change = func(*channel.Config) {}
		}
		receipt, _ := send(t.Context(), mailbox(t, test.scheme, r, change), message())
		if receipt.GetDelivered() || receipt.GetAttempts() != 1 || receipt.GetResponse() != test.want || len(r.Mails()) != 0 {
			t.Errorf("%s: receipt %v", test.name, receipt)
		}
	}
	here := newRelay(t, "")
	bare := mailbox(t, "smtp", here, func(c *channel.Config) { c.URL, c.Secrets = "smtp://"+here.Address, nil })
	if receipt, _ := send(t.Context(), bare, message()); !receipt.GetDelivered() {
		t.Errorf("this machine, without a password: receipt %v", receipt)
	}
}

func TestMailThatIsConfiguredWronglyIsRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*channel.Config)
		want   error
		field  string
	}{
		{"no mail", func(c *channel.Config) { c.Mail = nil }, channel.ErrMail, "mail:"},
		{"nobody", func(c *channel.Config) { c.Mail.To, c.Mail.People = nil, nil }, channel.ErrMail, "mail.to"},
		{"a name", func(c *channel.Config) { c.Mail.To[0] = "Ops <ops@example.com>" }, channel.ErrMail, "mail.to"},
		{"two lines", func(c *channel.Config) { c.Mail.From = "a@example.com\r\nRCPT TO:<b@example.com>" }, channel.ErrMail, "mail.from"},
		{"no address", func(c *channel.Config) { c.Mail.People["alice"] = "alice" }, channel.ErrMail, "mail.people"},
		{"a web page", func(c *channel.Config) { c.URL = "https://relay.example:465" }, channel.ErrMailURL, "url_file"},
		{"no port", func(c *channel.Config) { c.URL = "smtps://ship@relay.example" }, channel.ErrMailURL, "url_file"},
		{"password in the address", func(c *channel.Config) { c.URL = "smtps://ship:" + secret + "@relay.example:465" }, channel.ErrMailURL, "url_file"},
		{"no password", func(c *channel.Config) { c.Secrets = nil }, channel.ErrSecrets, "secret_files"},
		{"no user", func(c *channel.Config) { c.URL = "smtps://relay.example:465" }, channel.ErrSecrets, "secret_files"},
	} {
		config := channel.Config{Name: "ops", Kind: configv1.ChannelAddress_KIND_MAIL, URL: "smtps://ship@relay.example:465", Secrets: []string{secret}, Mail: letters()}
		test.change(&config)
		_, err := channel.New(config)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "channel ops: "+test.field) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestAMailIsForThoseWhoHaveAnAddress(t *testing.T) {
	r := newRelay(t, "smtps")
	c := mailbox(t, "smtps", r, func(c *channel.Config) { c.Mail.To = nil })
	m := message()
	m.People = []string{"carol"}
	receipt, certain := send(t.Context(), c, m)
	if receipt.GetDelivered() || !certain || receipt.GetAttempts() != 1 || receipt.GetResponse() != "none of the people it is for has an address here" {
		t.Errorf("receipt %v", receipt)
	}
}
