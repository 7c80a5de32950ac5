package gates_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/referrers"
)

// TestAQuestionAsksAsTheStepDoesAndKeepsNothing: a registry and a system of change records say
// what they say now. Who does not answer is not known at once, and is in words without an
// address; and there is nothing new in the store.
func TestAQuestionAsksAsTheStepDoesAndKeepsNothing(t *testing.T) {
	h, jira := newHarbor(t), changerecordtest.Jira(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		gates, keys := d.GetGates(), d.GetKeys()
		recorded(d)
		d.Referrers, d.Gates, d.Keys = true, gates, keys
	}))
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{jira.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	jira.Set("CHG-1042", changerecordtest.Record{State: "Scheduled", Service: "shop"})
	var proof []byte
	image := h.image(t, func(digest string) [][]byte { proof = tests(t, "ci", "PASSED", digest); return [][]byte{proof} })
	release := request(t, r, "asked", nil, image)
	var saw []changerecord.Result
	ask := func(outside gates.Outside) *releasev1.Event {
		t.Helper()
		saw = nil
		drafts, err := gates.Dry(r.Procedures, r.Evidence, outside, gates.Saw{Record: func(c changerecord.Result) { saw = append(saw, c) }}).Act(t.Context(), r.Task(t, release, time.Now()))
		if err != nil || len(drafts) != 1 || len(saw) != 1 {
			t.Fatalf("%v, %v, %v", drafts, saw, err)
		}
		return drafts[0].Event
	}
	before := messages(t, r)
	outside := gates.Outside{Connectors: connectors, Finder: h.finder, Within: time.Minute}
	passed := ask(outside).GetGatesConfirmed()
	if len(passed.GetVerdicts()) != 2 || len(passed.GetFound()) != 1 || passed.GetFound()[0].GetDigest() != evidence.Digest(proof) || saw[0].Reading.GetState() != "Scheduled" {
		t.Errorf("%v, %v", passed, saw)
	}
	if now := messages(t, r); now != before {
		t.Errorf("the store of evidence has %d messages, and had %d", now, before)
	}
	h.down.Store(true)
	jira.Fail(http.StatusServiceUnavailable)
	refused := func(why string, outside gates.Outside, words ...string) {
		t.Helper()
		e := ask(outside).GetGatesRefused()
		said := e.String()
		for _, word := range words {
			if !strings.Contains(said, word) {
				t.Errorf("%s: no %q in %s", why, word, said)
			}
		}
		if strings.Contains(said, "127.0.0.1") || strings.Contains(said, "c2hpcHdhcmRlbjpzZWNyZXQ") || len(e.GetUnseen()) != 1 || saw[0].Unknown == nil {
			t.Errorf("%s: %s, %v", why, said, saw)
		}
	}
	refused("they fail", outside, "the change record could not be read: HTTP 503", "statements about shop: registry cannot be asked")
	jira.Close()
	h.server.Close()
	refused("they are gone", outside, "the system cannot be reached", "statements about shop: registry cannot be asked")
	hung, err := changerecord.Open([]*configv1.ChangeConnector{silence(t, jira)})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	refused("they do not answer", gates.Outside{Connectors: hung, Finder: slow{}, Within: 50 * time.Millisecond},
		"the system does not answer in time", "registry cannot be asked, for it does not answer in time")
	if waited := time.Since(began); waited > 9*time.Second {
		t.Errorf("a question waited %s", waited) // a connector waits 10 s
	}
	e := ask(gates.Outside{}).GetGatesRefused()
	if said := e.String(); !strings.Contains(said, "no connector jira is configured") || !strings.Contains(said, "configured with no registry") {
		t.Errorf("nobody is configured: %s", said)
	}
}

// messages is how many the store of evidence has.
func messages(t *testing.T, r *approvaltest.Rig) uint64 {
	t.Helper()
	stream, err := r.JetStream().Stream(t.Context(), "OBJ_"+eventstore.BucketEvidence)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}

// silence is a connector to a system that takes questions and gives no answer.
func silence(t *testing.T, like *changerecordtest.System) *configv1.ChangeConnector {
	t.Helper()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() { close(over); server.Close() })
	c := like.Connector(t, "../../..", "jira")
	c.Url = strings.Replace(c.GetUrl(), like.URL, server.URL, 1)
	return c
}

// slow is a registry that answers when nobody waits any more.
type slow struct{}

func (slow) Find(ctx context.Context, _ *releasev1.Artifact, _ []string) ([][]byte, error) {
	<-ctx.Done()
	return nil, fmt.Errorf("%w: %w", referrers.ErrUnreachable, ctx.Err())
}
