package intake_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

func TestMain(m *testing.M) { approvaltest.Main(m) }

const (
	accepted = releasev1.Answer_OUTCOME_ACCEPTED
	repeated = releasev1.Answer_OUTCOME_REPEATED
	refused  = releasev1.Answer_OUTCOME_REFUSED

	subject  = "request.production.shop"
	answerTo = "answer.production.shop."
)

// rig is a bus with an intake whose clock the test sets.
type rig struct {
	*approvaltest.Rig
	intake *intake.Intake
	now    time.Time
	next   uint64
}

func newRig(t testing.TB, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	return rigOn(t, natstest.Single(t), changes...)
}

func rigOn(t testing.TB, n natstest.Server, changes ...func(*policyv1.Procedure)) *rig {
	t.Helper()
	r := &rig{Rig: approvaltest.On(t, n, approvaltest.Document(changes...)), now: time.Now()}
	r.intake = r.open(t)
	return r
}

// open is an intake as another process has it.
func (r *rig) open(t testing.TB) *intake.Intake {
	t.Helper()
	in, err := intake.New(r.Store, r.Procedures, approvaltest.ProcedureID, r.Evidence, intake.NewBoard(r.JetStream()),
		func() time.Time { return r.now })
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// message is the request as it is published, under a sequence of its own.
func (r *rig) message(body []byte) intake.Message {
	r.next++
	return intake.Message{Subject: subject, Body: body, Sequence: r.next}
}

type posted struct {
	subject string
	answer  *releasev1.Answer
}

// take lets the message in and returns the newest answer on the bus.
func (r *rig) take(t *testing.T, m intake.Message) posted {
	t.Helper()
	if err := r.intake.Take(t.Context(), m); err != nil {
		t.Fatalf("nothing is decided: %v", err)
	}
	stream, err := r.JetStream().Stream(t.Context(), eventstore.StreamAnswers)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := stream.GetMsg(t.Context(), stream.CachedInfo().State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	answer := &releasev1.Answer{}
	if err := protojson.Unmarshal(raw.Data, answer); err != nil {
		t.Fatal(err)
	}
	return posted{raw.Subject, answer}
}

func (r *rig) ask(t *testing.T, changes ...func(*releasev1.Request)) *releasev1.Answer {
	t.Helper()
	return r.take(t, r.message(asJSON(t, proceduretest.Request(changes...)))).answer
}

func asJSON(t *testing.T, r *releasev1.Request) []byte {
	t.Helper()
	b, err := marshalJSON(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func asProtobuf(t *testing.T, r *releasev1.Request) []byte {
	t.Helper()
	b, err := proto.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// count is how many messages the record holds under the subjects.
func (r *rig) count(t *testing.T, filter string) int {
	t.Helper()
	return len(r.subjects(t, filter))
}

func (r *rig) subjects(t *testing.T, filter string) []string {
	t.Helper()
	stream, err := r.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	info, err := stream.Info(t.Context(), withSubjects(filter))
	if err != nil {
		t.Fatal(err)
	}
	for s := range info.State.Subjects {
		all = append(all, s)
	}
	return all
}

func rules(a *releasev1.Answer) map[string]string {
	out := map[string]string{}
	for _, v := range a.GetViolations() {
		out[v.GetField()] = v.GetRule()
	}
	return out
}

func marshalJSON(r *releasev1.Request) ([]byte, error) { return protojson.Marshal(r) }
