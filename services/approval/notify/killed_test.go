package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// forgetful is the ledger of a process that is killed after it sent, and before it kept
// what became of it.
type forgetful struct{ notify.Ledger }

func (forgetful) End(context.Context, string, *releasev1.Receipt) error { return nil }

// memory is a receiver that shows what comes under one key once, as each kind has keys.
type memory struct {
	mu    sync.Mutex
	shown map[string][]byte
	times int
	wrong bool
}

func (m *memory) serve(keyOf func(*http.Request, []byte) string) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.times++
		key := keyOf(q, body)
		if before, ok := m.shown[key]; ok && !bytes.Equal(before, body) {
			m.wrong = true
		}
		m.shown[key] = body
		w.WriteHeader(http.StatusAccepted)
	}
}

// Between sending and storing a process may be killed at any time: nothing is lost then,
// and receivers that know keys show it once, because the other process sends the same
// under the same key.
func TestWhoKnowsKeysSeesOneNoticeThoughTheSenderIsKilled(t *testing.T) {
	header := func(name string) func(*http.Request, []byte) string {
		return func(q *http.Request, _ []byte) string { return q.Header.Get(name) }
	}
	field := func(path ...string) func(*http.Request, []byte) string {
		return func(_ *http.Request, body []byte) string {
			var at any
			_ = json.Unmarshal(bytes.Trim(body, "[]"), &at)
			for _, name := range path {
				fields, _ := at.(map[string]any)
				at = fields[name]
			}
			key, _ := at.(string)
			return key
		}
	}
	for _, each := range []struct {
		kind    configv1.ChannelAddress_Kind
		secrets []string
		keyOf   func(*http.Request, []byte) string
	}{
		{configv1.ChannelAddress_KIND_WEBHOOK, nil, header("Idempotency-Key")},
		{configv1.ChannelAddress_KIND_STANDARD_WEBHOOK, []string{"whsec_VDBQUzNDUkVUVDBQUzNDUkVUVDBQUzNDUkVU"}, header("Webhook-Id")},
		{configv1.ChannelAddress_KIND_PAGERDUTY, []string{strings.Repeat("r", 32)}, field("dedup_key")},
		{configv1.ChannelAddress_KIND_ALERTMANAGER, nil, field("labels", "notice")},
	} {
		t.Run(each.kind.String(), func(t *testing.T) {
			r := newRig(t, func(d *policyv1.Procedure) { d.Channels = d.GetChannels()[:1] })
			seen := &memory{shown: map[string][]byte{}}
			server := httptest.NewServer(seen.serve(each.keyOf))
			t.Cleanup(server.Close)
			c, err := channel.New(channel.Config{Name: "ops", Kind: each.kind, URL: server.URL, Secrets: each.secrets})
			if err != nil {
				t.Fatal(err)
			}
			r.channels = map[string]notify.Channel{"ops": c}
			release := r.Reach(t, procedure.PhaseNotify)
			for range 2 {
				killed := notify.New(r.Procedures, r.channels, forgetful{r.ledger}, r.Evidence, r.Store, func() time.Time { return r.now })
				if _, err := killed.Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
					t.Fatal(err)
				}
			}
			if s, err := r.Act(t, r.step(), release, r.now); err != nil || s.Phase != procedure.PhaseExecute {
				t.Fatalf("phase %s, %v", s.Phase, err)
			}
			if got := slices.Collect(maps.Keys(seen.shown)); seen.times != 3 || seen.wrong || !slices.Equal(got, []string{release + "/start/1/ops"}) {
				t.Errorf("sent %d times, shown as %v, other bytes: %v", seen.times, got, seen.wrong)
			}
			if x := r.told(t, release).GetReceipts()[0]; !x.GetDelivered() {
				t.Errorf("receipt %v", x)
			}
		})
	}
}
