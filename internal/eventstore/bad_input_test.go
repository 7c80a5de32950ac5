package eventstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
)

// TestHeadersThatWouldChangeTheRecordAreRefused is bad input 89: whoever may publish an
// event may not make it expire, replace others, repeat or count.
func TestHeadersThatWouldChangeTheRecordAreRefused(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		for header, value := range map[string]string{
			"Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Schedule": "@every 1s", "Nats-Incr": "+1",
		} {
			m := nats.NewMsg("rel.r.approval.withdrawn")
			m.Header.Set(header, value)
			if header == "Nats-Schedule" {
				m.Header.Set("Nats-Schedule-Target", "rel.r.approval.rejected")
			}
			_, err := n.JetStream().PublishMsg(t.Context(), m)
			var api *jetstream.APIError
			if !errors.As(err, &api) || api.ErrorCode < 10000 {
				t.Errorf("%s: %v, want a refusal by the server", header, err)
			}
		}
		if h := load(t, eventstoretest.Store(n, procedure.ServiceApproval), "rel.r"); h.Last != 0 {
			t.Errorf("something was stored: %+v", h)
		}
	})
}

// TestManyHeadersAreRefusedOrDoNotCount is bad input 85: headers count as part of a
// message, and what fits is no event.
func TestManyHeadersAreRefusedOrDoNotCount(t *testing.T) {
	t.Parallel()
	natstest.Each(t, func(t *testing.T, n natstest.Server) {
		eventstoretest.Provision(t, n)
		publish := func(headers int, size int) error {
			m := nats.NewMsg("rel.r.approval.withdrawn")
			for i := range headers {
				m.Header.Set(fmt.Sprintf("h%d", i), strings.Repeat("x", size))
			}
			_, err := n.JetStream().PublishMsg(t.Context(), m)
			return err
		}
		for _, large := range [][2]int{{10_000, 1}, {1, eventstore.MaxMessageSize}} {
			var api *jetstream.APIError
			if err := publish(large[0], large[1]); !errors.As(err, &api) || api.ErrorCode != 10054 {
				t.Errorf("%d headers of %d bytes: %v, want 10054", large[0], large[1], err)
			}
		}
		if err := publish(5000, 1); err != nil {
			t.Fatal(err)
		}
		h := load(t, eventstoretest.Store(n, procedure.ServiceApproval), "rel.r")
		if len(h.Entries) != 0 || len(h.Invalid) != 1 || !errors.Is(h.Invalid[0].Reason, envelope.ErrUnsigned) {
			t.Errorf("history %+v, want one message that is no event", h)
		}
	})
}
