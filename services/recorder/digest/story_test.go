package digest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/mail/mailtest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/digest"
	"github.com/blackdice/shipwarden/services/recorder/record"
	"github.com/blackdice/shipwarden/services/recorder/recordertest"
)

// Whoever has the approval service's key, and its place on the bus, writes an approval of
// Anna, who never gave one. Where no signature is demanded it counts. The recorder reads it
// from the stream and tells Anna on the next morning.
func TestAnApprovalThatSomebodyNeverGaveIsToldToThem(t *testing.T) {
	n := natstest.Single(t)
	eventstoretest.Provision(t, n)
	kept := evidence.New(n.JetStream())
	ref, err := kept.Put(t.Context(), "application/yaml", "procedure", []byte(someone))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, dsn: recordertest.Database(t), stream: recordertest.LiveStream(), relay: mailtest.Start(t, "starttls", password)}
	w.ledger = recordertest.Ledger(t, w.dsn)
	rec := record.New(n.JetStream(), envelopetest.Ring(), w.ledger, nil, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- rec.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	// The bus has the real time, and so the story has its morning by adding to both clocks.
	var ahead time.Duration
	d := w.open(func(c *digest.Config) {
		c.Documents = policy.NewSource(kept.Get)
		c.Calendar = calendar(t, "07:00", "UTC")
		c.Now = func() time.Time { return time.Now().Add(ahead) }
		c.Stream = func(ctx context.Context) (record.End, error) {
			end, err := rec.Look(ctx)
			end.At = end.At.Add(ahead)
			return end, err
		}
	})
	natstest.Eventually(t, "the beginning", func() bool { return d.Pass(t.Context()) == nil })

	document := procedure.NewDocument("PROC-DEPLOY-001")
	activated, err := procedure.DecideActivatedByAdministrator(document, procedure.ServiceApproval, &releasev1.ProcedureActivated{Version: "1.0", Digest: ref.GetDigest(), Reason: "go-live"}, w.stream.Now)
	if err != nil {
		t.Fatal(err)
	}
	activated = proto.CloneOf(activated)
	activated.Aggregate = document.Aggregate
	w.stream.Last++
	recordertest.Publish(t, n, proceduretest.Entry(procedure.State{}, w.stream.Last, w.stream.Now, nil, activated))
	h := w.wanted("stolen")
	approves(t, h, "anna") // sealed below with the approval service's own key
	approves(t, h, "ben")
	h.To(t, procedure.PhaseNotify)
	recordertest.Publish(t, n, h.Entries...)

	ahead = 48 * time.Hour
	natstest.Eventually(t, "the mails of the day", func() bool { return d.Pass(t.Context()) == nil && len(w.relay.Mails()) == 3 })
	got := w.mails()
	if got[0].to != "anna@shop.example" || !strings.Contains(got[0].text, "1. approved by anna\n") || !strings.Contains(got[0].text, "release: "+h.Release+"\n") ||
		!strings.Contains(got[0].text, "signed: no\n") || strings.Contains(got[0].text, "ben") {
		t.Errorf("anna's mail, to %s:\n%s", got[0].to, got[0].text)
	}
}
