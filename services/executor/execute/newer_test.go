package execute_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestWhatANewerServiceSaidIsLeftToANewerExecutor: of an event of a kind that it does not know an
// executor cannot say whether it keeps the release from beginning, as a pause does. What it claimed
// would not count to those who know it, and have its effect.
func TestWhatANewerServiceSaidIsLeftToANewerExecutor(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	step := execute.New(e.Site, time.Now)
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	s := r.State(t)
	body, err := proto.Marshal(&releasev1.Event{
		Id: id.String(), Aggregate: procedure.Aggregate(r.ID), Writer: procedure.ServiceApproval, Time: timestamppb.Now(),
		Previous: s.Head.Previous(), Actor: proceduretest.Person("eve"), ProcedureDigest: s.ProcedureDigest,
	})
	if err != nil {
		t.Fatal(err)
	}
	// A kind of event that is not there yet.
	body = protowire.AppendBytes(protowire.AppendTag(body, 9999, protowire.BytesType), []byte("later"))
	signed := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(envelope.PayloadType), envelope.PayloadType, len(body), body)
	message := nats.NewMsg(procedure.Aggregate(r.ID) + ".approval.postponed")
	message.Data = body
	message.Header.Set(envelope.SignatureHeader, envelopetest.KeyID(procedure.ServiceApproval)+" "+
		base64.StdEncoding.EncodeToString(ed25519.Sign(envelopetest.PrivateKey(procedure.ServiceApproval), signed)))
	if _, err := e.JS.PublishMsg(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	events, err := e.Turn(t.Context(), step, r.Task(t, 1))
	if err == nil || !strings.Contains(err.Error(), "somebody newer") || len(events) > 0 {
		t.Errorf("it says %v, %v", events, err)
	}
	if s := r.State(t); s.Started() || len(w.Effects(t, "eu1", r.ID)) != 0 {
		t.Errorf("in phase %s, %d effects", s.Phase, len(w.Effects(t, "eu1", r.ID)))
	}
}
