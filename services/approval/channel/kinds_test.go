package channel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// Secrets of the right shape that no test may find anywhere.
const (
	signingSecret = "whsec_VDBQUzNDUkVUVDBQUzNDUkVUVDBQUzNDUkVU"
	olderSecret   = "whsec_b2xkZXJvbGRlcm9sZGVyb2xkZXJvbGRlcm9s"
	routing       = "T0PS3CRETT0PS3CRETT0PS3CRETT0PS3"
)

// spoken are all kinds of receivers that are spoken to by HTTP.
var spoken = []struct {
	kind      configv1.ChannelAddress_Kind
	secrets   []string
	remembers bool
}{
	{configv1.ChannelAddress_KIND_WEBHOOK, nil, true},
	{configv1.ChannelAddress_KIND_STANDARD_WEBHOOK, []string{signingSecret, olderSecret}, true},
	{configv1.ChannelAddress_KIND_PAGERDUTY, []string{routing}, true},
	{configv1.ChannelAddress_KIND_ALERTMANAGER, nil, true},
	{configv1.ChannelAddress_KIND_SLACK, nil, false},
	{configv1.ChannelAddress_KIND_TEAMS, nil, false},
	{configv1.ChannelAddress_KIND_DISCORD, nil, false},
	{configv1.ChannelAddress_KIND_GOOGLE_CHAT, nil, false},
	{configv1.ChannelAddress_KIND_NTFY, []string{secret}, false},
}

// Every kind keeps the promises of a channel: it is tried again where that may help and
// cannot be seen twice, within bounds, and no secret of it is told.
func TestEveryKindKeepsThePromises(t *testing.T) {
	for _, each := range spoken {
		t.Run(each.kind.String(), func(t *testing.T) {
			for _, test := range []struct {
				name      string
				script    []http.HandlerFunc
				delivered bool
				attempts  uint32
			}{
				{"taken", []http.HandlerFunc{status(202)}, true, 1},
				{"later", []http.HandlerFunc{status(429, "Retry-After", "0"), status(503), status(200)}, true, 3},
				{"never", []http.HandlerFunc{status(400), status(200)}, false, 1},
				{"for good", []http.HandlerFunc{status(500)}, false, 4},
				{"elsewhere", []http.HandlerFunc{status(302, "Location", "http://127.0.0.1:1/"), status(200)}, false, 1},
				{"lost", []http.HandlerFunc{reset, status(200)}, each.remembers, map[bool]uint32{true: 2, false: 1}[each.remembers]},
			} {
				receiver := newReceiver(t, test.script...)
				c := open(t, each.kind, receiver.URL, func(c *channel.Config) { c.Secrets = each.secrets })
				if c.Remembers() != each.remembers {
					t.Fatalf("remembers: %v", c.Remembers())
				}
				m := message()
				m.Text = strings.Repeat("ä", 1<<16)
				body, err := c.Body(m)
				if err != nil {
					t.Fatal(err)
				}
				receipt, _ := c.Send(t.Context(), m.Key, body)
				if receipt.GetDelivered() != test.delivered || receipt.GetAttempts() != test.attempts || int(test.attempts) != receiver.count() {
					t.Errorf("%s: receipt %v after %d requests", test.name, receipt, receiver.count())
				}
				if test.name == "lost" && !each.remembers && !strings.Contains(receipt.GetResponse(), "nobody can tell") {
					t.Errorf("%s: receipt %v", test.name, receipt)
				}
				for _, s := range append([]string{secret, "whsec_"}, each.secrets...) {
					if strings.Contains(receipt.String()+string(body), s) {
						t.Errorf("%s: a secret is told: %s\n%s", test.name, receipt, body)
					}
				}
				for _, sent := range receiver.bodies {
					if len(sent) > 64<<10 || !bytes.Equal(sent, receiver.bodies[0]) {
						t.Errorf("%s: %d bytes were sent", test.name, len(sent))
					}
				}
			}
		})
	}
}

// A receiver that has one of the two secrets takes the notice; one that has neither, or is
// given something else than was signed, does not.
func TestStandardWebhooksAreVerifiedByTheirLibrary(t *testing.T) {
	receiver := newReceiver(t, status(503), status(204))
	c := open(t, configv1.ChannelAddress_KIND_STANDARD_WEBHOOK, receiver.URL, func(c *channel.Config) {
		c.Secrets, c.Now = []string{signingSecret, olderSecret}, time.Now
	})
	if receipt, _ := send(t.Context(), c, message()); !receipt.GetDelivered() {
		t.Fatalf("receipt %v", receipt)
	}
	body, head := receiver.bodies[1], receiver.heads[1]
	if head.Get("webhook-id") != message().Key || receiver.heads[0].Get("webhook-id") != message().Key {
		t.Errorf("id %q", head.Get("webhook-id"))
	}
	for known, want := range map[string]bool{signingSecret: true, olderSecret: true, "whsec_bm9ib2R5bm9ib2R5bm9ib2R5bm9ib2R5": false} {
		w, err := standardwebhooks.NewWebhook(known)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Verify(body, head); (err == nil) != want {
			t.Errorf("%s: %v", known, err)
		}
		if err := w.Verify(append([]byte(" "), body...), head); err == nil {
			t.Error("another body is taken")
		}
	}
	var got struct {
		Type, Timestamp string
		Data            map[string]any
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Type != "shipwarden.notice.start" || got.Timestamp != "2026-12-01T12:00:00Z" || got.Data["release"] != "shop-k7q2" {
		t.Errorf("%s, %v", body, err)
	}
}

func decoded(t *testing.T, body []byte) any {
	t.Helper()
	var out any
	if err := json.Unmarshal(body, &out); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return out
}

// alarm is an escalation that is called, and what comes of it.
func alarm() (raised, taken notify.Message) {
	raised = message()
	raised.Key, raised.Occasion, raised.Until = "shop-k7q2/escalation/1001/ops", "escalation", clock.Add(10*time.Minute)
	raised.Fields["service"] = "shop"
	taken = message()
	taken.Key, taken.Occasion, taken.Time = "shop-k7q2/acknowledged/1001/ops", "acknowledged", clock.Add(time.Minute)
	taken.Fields["service"] = "shop"
	taken.Action, taken.Alarms = notify.TakeOn, []notify.Alarm{{Key: raised.Key, Occasion: "escalation"}, {Key: "shop-k7q2/escalation/1002/ops", Occasion: "escalation"}}
	return raised, taken
}

// PagerDuty is told by the shapes that its documentation shows, one event a request.
func TestPagerDutyOpensTakesOnAndResolves(t *testing.T) {
	receiver := newReceiver(t, status(202))
	c := open(t, configv1.ChannelAddress_KIND_PAGERDUTY, receiver.URL, func(c *channel.Config) { c.Secrets = []string{routing} })
	raised, taken := alarm()
	settled := taken
	settled.Action = notify.Settle
	for _, m := range []notify.Message{raised, taken, settled} {
		if receipt, _ := send(t.Context(), c, m); !receipt.GetDelivered() {
			t.Fatalf("receipt %v", receipt)
		}
	}
	want := []any{
		map[string]any{
			"routing_key": routing, "event_action": "trigger", "dedup_key": raised.Key, "client": "Shipwarden",
			"payload": map[string]any{
				"summary": "Release about to start: shop 1.4.2", "source": "shop-k7q2", "severity": "critical", "timestamp": "2026-12-01T12:00:00Z",
				"component": "shop", "group": "production", "class": "escalation",
				"custom_details": map[string]any{
					"owner": "alice", "environment": "production", "service": "shop", "text": "Roll out\nwave by wave", "key": raised.Key,
				},
			},
		},
	}
	for _, action := range []string{"acknowledge", "resolve"} {
		for _, a := range taken.Alarms {
			want = append(want, map[string]any{"routing_key": routing, "event_action": action, "dedup_key": a.Key})
		}
	}
	var got []any
	for _, body := range receiver.bodies {
		got = append(got, decoded(t, body))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
}

// What settles an alert has to have its labels, or Alertmanager takes it for another one.
func TestAlertmanagerSettlesWhatItWasTold(t *testing.T) {
	receiver := newReceiver(t, status(200))
	c := open(t, configv1.ChannelAddress_KIND_ALERTMANAGER, receiver.URL, func(c *channel.Config) { c.URL = receiver.URL + "/am" })
	raised, taken := alarm()
	send(t.Context(), c, raised)
	send(t.Context(), c, taken)
	type alert struct {
		Labels, Annotations map[string]string
		StartsAt, EndsAt    time.Time
	}
	var first, second []alert
	if err := errors.Join(json.Unmarshal(receiver.bodies[0], &first), json.Unmarshal(receiver.bodies[1], &second)); err != nil {
		t.Fatal(err)
	}
	if len(first) != 1 || len(second) != 2 {
		t.Fatalf("%v\n%v", first, second)
	}
	if diff := cmp.Diff(first[0].Labels, second[0].Labels); diff != "" {
		t.Errorf("labels (-raised +settled):\n%s", diff)
	}
	if !first[0].EndsAt.Equal(raised.Until) || !first[0].StartsAt.Equal(raised.Time) || !second[0].EndsAt.Equal(taken.Time) {
		t.Errorf("from %s to %s, settled %s", first[0].StartsAt, first[0].EndsAt, second[0].EndsAt)
	}
	if first[0].Labels["notice"] != raised.Key || first[0].Labels["severity"] != "critical" || first[0].Annotations["summary"] != raised.Subject {
		t.Errorf("told %v", first[0])
	}
}

// Nothing that somebody writes into a request mentions or links anything.
func TestChatsShowWhatIsWrittenAsItIs(t *testing.T) {
	m := message()
	m.Subject = "shop <!channel> @everyone [click](https://evil.example) <users/all>"
	m.Text = "<at>all</at> **bold** @here\n# title"
	for _, each := range spoken[5:8] {
		receiver := newReceiver(t, status(200))
		send(t.Context(), open(t, each.kind, receiver.URL), m)
		text := string(receiver.bodies[0])
		text = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(text)
		for _, bad := range []string{"<!", "@every", "@here", "](", "https://evil", "<users", "<at>", "# title"} {
			if strings.Contains(text, bad) {
				t.Errorf("%v: %q is in %s", each.kind, bad, text)
			}
		}
	}
}

func TestTheTopicOfNtfyIsToldToNobodyElse(t *testing.T) {
	receiver := newReceiver(t, status(200))
	c := open(t, configv1.ChannelAddress_KIND_NTFY, receiver.URL, func(c *channel.Config) { c.URL, c.Secrets = receiver.URL+"/"+secret, []string{"tk_" + secret} })
	send(t.Context(), c, message())
	got, ok := decoded(t, receiver.bodies[0]).(map[string]any)
	if !ok || got["topic"] != secret || got["priority"] != 3.0 || receiver.heads[0].Get("Authorization") != "Bearer tk_"+secret {
		t.Errorf("sent %v, %v", got, receiver.heads[0])
	}
}

func TestSecretsThatAreNoneAreRefused(t *testing.T) {
	for _, test := range []struct {
		name    string
		kind    configv1.ChannelAddress_Kind
		secrets []string
		mail    *configv1.Mail
		want    error
		field   string
	}{
		{"unsigned", configv1.ChannelAddress_KIND_STANDARD_WEBHOOK, nil, nil, channel.ErrSecrets, "secret_files"},
		{"short", configv1.ChannelAddress_KIND_STANDARD_WEBHOOK, []string{"whsec_VDBQUzNDUkVU"}, nil, channel.ErrSecrets, "secret_files: [0]"},
		{"no prefix", configv1.ChannelAddress_KIND_STANDARD_WEBHOOK, []string{signingSecret, olderSecret[6:]}, nil, channel.ErrSecrets, "secret_files: [1]"},
		{"no key", configv1.ChannelAddress_KIND_PAGERDUTY, []string{secret}, nil, channel.ErrSecrets, "secret_files: [0]"},
		{"two keys", configv1.ChannelAddress_KIND_PAGERDUTY, []string{routing, routing}, nil, channel.ErrSecrets, "secret_files"},
		{"too many", configv1.ChannelAddress_KIND_WEBHOOK, []string{secret}, nil, channel.ErrSecrets, "secret_files"},
		{"header", configv1.ChannelAddress_KIND_NTFY, []string{"a\r\nX: " + secret}, nil, channel.ErrSecrets, "secret_files: [0]"},
		{"mail", configv1.ChannelAddress_KIND_SLACK, nil, &configv1.Mail{}, channel.ErrMail, "mail"},
	} {
		_, err := channel.New(channel.Config{Name: "ops", Kind: test.kind, URL: "https://hooks.example/", Secrets: test.secrets, Mail: test.mail})
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "channel ops: "+test.field) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "VDBQ") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
