package channel_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	webhook = configv1.ChannelAddress_KIND_WEBHOOK
	slack   = configv1.ChannelAddress_KIND_SLACK

	secret = "T0PS3CRET"
)

var clock = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

// receiver answers one request after the other by its script; the last answer is
// repeated.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	script []http.HandlerFunc
	bodies [][]byte
	heads  []http.Header
}

func newReceiver(t *testing.T, script ...http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{script: script}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	r.mu.Lock()
	r.bodies, r.heads = append(r.bodies, body), append(r.heads, request.Header)
	answer := r.script[min(len(r.bodies), len(r.script))-1]
	r.mu.Unlock()
	answer(w, request)
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bodies)
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, "your URL was /"+secret)
	}
}

// reset closes the connection in the middle of an exchange, without a goodbye.
func reset(w http.ResponseWriter, _ *http.Request) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := connection.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = connection.Close()
}

// silent does not answer as long as somebody waits.
func silent(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }

func open(t *testing.T, kind configv1.ChannelAddress_Kind, address string, change ...func(*channel.Config)) *channel.Channel {
	t.Helper()
	config := channel.Config{
		Name: "ops", Kind: kind, URL: address + "/services/" + secret + "?token=" + secret,
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

// send is what step 4 does with a message.
func send(ctx context.Context, c *channel.Channel, m notify.Message) (*releasev1.Receipt, bool) {
	body, err := c.Body(m)
	if err != nil {
		panic(err)
	}
	return c.Send(ctx, m.Key, body)
}

func message() notify.Message {
	return notify.Message{
		Key: "shop-k7q2/start/0/ops", Release: "shop-k7q2", Occasion: "start",
		Subject: "Release about to start: shop 1.4.2", Text: "Roll out\nwave by wave",
		Fields: map[string]string{"owner": "alice", "environment": "production"}, Time: clock,
	}
}

func TestWhatIsTriedAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		kind      configv1.ChannelAddress_Kind
		script    []http.HandlerFunc
		delivered bool
		attempts  uint32
		response  string
	}{
		{"delivered", webhook, []http.HandlerFunc{status(200)}, true, 1, "HTTP 200 OK"},
		{"accepted", webhook, []http.HandlerFunc{status(202)}, true, 1, "HTTP 202 Accepted"},
		{"500 then 200", webhook, []http.HandlerFunc{status(500), status(200)}, true, 2, "HTTP 200 OK"},
		{"chat: 500 then 200", slack, []http.HandlerFunc{status(500), status(200)}, true, 2, "HTTP 200 OK"},
		{"503 for good", webhook, []http.HandlerFunc{status(503)}, false, 4, "HTTP 503 Service Unavailable; given up"},
		{"400", webhook, []http.HandlerFunc{status(400)}, false, 1, "HTTP 400 Bad Request"},
		{"404", slack, []http.HandlerFunc{status(404)}, false, 1, "HTTP 404 Not Found"},
		{"429 without a word", webhook, []http.HandlerFunc{status(429), status(200)}, true, 2, "HTTP 200 OK"},
		{"429 with a pause", slack, []http.HandlerFunc{status(429, "Retry-After", "0"), status(200)}, true, 2, "HTTP 200 OK"},
		{"429 with a date that is over", webhook, []http.HandlerFunc{status(429, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"), status(200)}, true, 2, "HTTP 200 OK"},
		{"429 with a pause that is too long", webhook, []http.HandlerFunc{status(429, "Retry-After", "3600"), status(200)}, false, 1, "HTTP 429 Too Many Requests; no time was left to try again"},
		{"status without a name", webhook, []http.HandlerFunc{status(299)}, true, 1, "HTTP 299 "},
		{"redirect", webhook, []http.HandlerFunc{status(302, "Location", "http://169.254.169.254/")}, false, 1, "HTTP 302 Found; redirects are not followed"},
		{"permanent redirect", webhook, []http.HandlerFunc{status(308, "Location", "/elsewhere")}, false, 1, "HTTP 308 Permanent Redirect; redirects are not followed"},
		{"connection reset", webhook, []http.HandlerFunc{reset, status(200)}, true, 2, "HTTP 200 OK"},
		{"connection reset for good", webhook, []http.HandlerFunc{reset}, false, 4, "the connection was lost; nobody can tell whether it arrived; given up"},
		{"chat: connection reset", slack, []http.HandlerFunc{reset, status(200)}, false, 1, "the connection was lost; nobody can tell whether it arrived"},
	} {
		t.Run(test.name, func(t *testing.T) {
			receiver := newReceiver(t, test.script...)
			receipt, _ := send(t.Context(), open(t, test.kind, receiver.URL), message())
			if receipt.GetDelivered() != test.delivered || receipt.GetAttempts() != test.attempts || receipt.GetResponse() != test.response {
				t.Errorf("receipt %v", receipt)
			}
			if receiver.count() != int(test.attempts) {
				t.Errorf("%d requests arrived", receiver.count())
			}
			noSecret(t, receipt.String())
		})
	}
}

func TestReceiverThatDoesNotAnswer(t *testing.T) {
	short := func(c *channel.Config) { c.Timeout, c.Attempts = 2*time.Second, 2 }
	for kind, want := range map[configv1.ChannelAddress_Kind]uint32{webhook: 2, slack: 1} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			receiver := newReceiver(t, silent)
			receipt, _ := send(t.Context(), open(t, kind, receiver.URL, short), message())
			if receipt.GetDelivered() || receipt.GetAttempts() != want || !strings.HasPrefix(receipt.GetResponse(), "no answer in time; nobody can tell") {
				t.Errorf("receipt %v", receipt)
			}
		})
	}
}

func TestDeadlineEndsAllAttempts(t *testing.T) {
	receiver := newReceiver(t, status(500))
	patient := func(c *channel.Config) {
		c.Deadline, c.Backoff, c.Attempts = 100*time.Millisecond, time.Hour, 1000
	}
	receipt, _ := send(t.Context(), open(t, webhook, receiver.URL, patient), message())
	if receipt.GetDelivered() || !strings.HasSuffix(receipt.GetResponse(), "no time was left to try again") {
		t.Errorf("receipt %v", receipt)
	}
}

func TestContextEndsAnAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	receiver := newReceiver(t, func(_ http.ResponseWriter, request *http.Request) {
		cancel()
		<-request.Context().Done()
	})
	receipt, _ := send(ctx, open(t, webhook, receiver.URL), message())
	if receipt.GetDelivered() || receipt.GetAttempts() != 1 || !strings.HasPrefix(receipt.GetResponse(), "interrupted") {
		t.Errorf("receipt %v", receipt)
	}
}

func TestReceiverThatIsNotThere(t *testing.T) {
	receiver := newReceiver(t, status(200))
	receiver.Close()
	for _, kind := range []configv1.ChannelAddress_Kind{webhook, slack} {
		receipt, _ := send(t.Context(), open(t, kind, receiver.URL), message())
		// Nothing can have arrived, so that a chat is tried again, too.
		if receipt.GetAttempts() != 4 || receipt.GetResponse() != "the receiver refuses connections; given up" {
			t.Errorf("%v: receipt %v", kind, receipt)
		}
	}
}

func TestAddressThatMustNotBeReached(t *testing.T) {
	for _, address := range []string{"http://169.254.169.254", "http://0.0.0.0:9", "http://[fe80::1]", "http://[::ffff:169.254.169.254]", "https://[64:ff9b::a9fe:a9fe]"} {
		receipt, _ := send(t.Context(), open(t, webhook, address), message())
		if receipt.GetAttempts() != 1 || receipt.GetResponse() != "the address is one that must not be reached" {
			t.Errorf("%s: receipt %v", address, receipt)
		}
	}
}

func TestCertificateMustBeTrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(status(200))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	receipt, _ := send(t.Context(), open(t, webhook, server.URL), message())
	if receipt.GetDelivered() || receipt.GetAttempts() != 1 || receipt.GetResponse() != "the receiver's certificate is not trusted" {
		t.Errorf("unknown certificate: receipt %v", receipt)
	}
	noSecret(t, receipt.String())
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	trusting := func(c *channel.Config) { c.Roots = roots }
	if receipt, _ := send(t.Context(), open(t, webhook, server.URL, trusting), message()); !receipt.GetDelivered() {
		t.Errorf("known certificate: receipt %v", receipt)
	}
	plain := newReceiver(t, status(200))
	spoken, _ := send(t.Context(), open(t, webhook, strings.Replace(plain.URL, "http:", "https:", 1)), message())
	if spoken.GetDelivered() || spoken.GetResponse() != "the receiver does not speak TLS" {
		t.Errorf("no TLS: receipt %v", spoken)
	}
}

func TestRepetitionIsTheSameRequest(t *testing.T) {
	receiver := newReceiver(t, status(500), reset, status(429), status(200))
	receipt, _ := send(t.Context(), open(t, webhook, receiver.URL), message())
	if !receipt.GetDelivered() || receiver.count() != 4 {
		t.Fatalf("receipt %v", receipt)
	}
	for i, body := range receiver.bodies {
		if !bytes.Equal(body, receiver.bodies[0]) || receiver.heads[i].Get("Idempotency-Key") != message().Key {
			t.Errorf("attempt %d: %s with key %q", i, body, receiver.heads[i].Get("Idempotency-Key"))
		}
	}
	want := &releasev1.Receipt{
		Channel: "ops", Key: message().Key, Delivered: true, Attempts: 4, Response: "HTTP 200 OK",
		BodyDigest: fmt.Sprintf("sha256:%x", sha256.Sum256(receiver.bodies[0])),
	}
	if !receipt.GetTime().AsTime().Equal(clock) {
		t.Errorf("time %v", receipt.GetTime().AsTime())
	}
	receipt.Time = nil
	if receipt.String() != want.String() {
		t.Errorf("receipt %v\nwant %v", receipt, want)
	}
}

func TestWebhookBody(t *testing.T) {
	receiver := newReceiver(t, status(200))
	send(t.Context(), open(t, webhook, receiver.URL), message())
	var got any
	if err := json.Unmarshal(receiver.bodies[0], &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"idempotency_key": "shop-k7q2/start/0/ops", "release": "shop-k7q2", "occasion": "start",
		"subject": "Release about to start: shop 1.4.2", "text": "Roll out\nwave by wave",
		"fields": map[string]any{"owner": "alice", "environment": "production"}, "time": "2026-12-01T12:00:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if got := receiver.heads[0].Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
}

func TestSlackText(t *testing.T) {
	receiver := newReceiver(t, status(200))
	m := message()
	m.Subject = "shop <!channel> & <https://evil.example|click>"
	m.Text = "@all look\u202ehere\x1b[31m\nsecond line"
	m.Fields = map[string]string{"owner": "alice\nenvironment: staging", "empty": ""}
	send(t.Context(), open(t, slack, receiver.URL), m)
	var got map[string]string
	if err := json.Unmarshal(receiver.bodies[0], &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"text": "*shop &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;*\n" +
		"@\u200ball lookhere[31m\nsecond line\n• owner: alice environment: staging\n_shop-k7q2/start/0/ops_"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestLongNoticesAreCut(t *testing.T) {
	m := message()
	m.Subject, m.Text = strings.Repeat("ä", 1000), strings.Repeat("x", 1<<20)
	for i := range 100 {
		m.Fields[fmt.Sprintf("field-%03d", i)] = strings.Repeat("y", 1<<16)
	}
	for _, kind := range []configv1.ChannelAddress_Kind{webhook, slack} {
		receiver := newReceiver(t, status(200))
		if receipt, _ := send(t.Context(), open(t, kind, receiver.URL), m); !receipt.GetDelivered() {
			t.Errorf("receipt %v", receipt)
		}
		if size := len(receiver.bodies[0]); size > 32<<10 {
			t.Errorf("%v: %d bytes were sent", kind, size)
		}
	}
}

func TestAnswerWithoutEndIsNotRead(t *testing.T) {
	receiver := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	if receipt, _ := send(t.Context(), open(t, webhook, receiver.URL), message()); !receipt.GetDelivered() {
		t.Errorf("receipt %v", receipt)
	}
}

func TestAddressesThatAreNoneAreRefused(t *testing.T) {
	for _, address := range []string{"", "hooks.example/" + secret, "ftp://hooks.example/" + secret, "file:///" + secret, "http:///" + secret, "https://" + secret + ":x:y/", "http://a\x7f/" + secret} {
		_, err := channel.New(channel.Config{Name: "ops", Kind: webhook, URL: address})
		if !errors.Is(err, channel.ErrURL) {
			t.Errorf("%q: error %v", address, err)
			continue
		}
		noSecret(t, err.Error())
	}
	if _, err := channel.New(channel.Config{Name: "ops", URL: "https://hooks.example/"}); !errors.Is(err, channel.ErrKind) {
		t.Errorf("no kind: error %v", err)
	}
}

func TestAddressIsNotPrinted(t *testing.T) {
	c := open(t, webhook, "https://hooks.example")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).InfoContext(t.Context(), "opened", slog.Any("channel", c))
	noSecret(t, fmt.Sprintf("%v %+v %#v %s", c, c, c, c)+log.String())
}

func noSecret(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, secret) || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
		t.Errorf("the address is told: %s", text)
	}
}
