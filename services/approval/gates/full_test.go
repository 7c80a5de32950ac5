package gates_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

// TestGatesWithoutWhatCouldNotBeKept: the emergency's evidence is not there. Its gate has
// failed, the verdict says why, and it is gone around; nobody waits for it.
func TestGatesWithoutWhatCouldNotBeKept(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document())
	envelope := tests(t, "ci", "PASSED", proceduretest.Digest('a'))
	asked := proceduretest.Request(proceduretest.Emergency, proceduretest.Key("lost"))
	release := procedure.ReleaseID(asked.GetEnvironment(), asked.GetService(), asked.GetIdempotencyKey())
	first := proto.CloneOf(proceduretest.Requested(asked, time.Now()))
	first.ProcedureDigest = r.Digest
	first.GetRequested().Evidence = []*releasev1.EvidenceRef{{Digest: evidence.Digest(envelope), Size: int64(len(envelope)), Name: "evidence-0"}}
	first.Unkept = []*releasev1.UnkeptEvidence{{Digest: evidence.Digest(envelope), Name: "evidence-0", Reason: "the evidence store is full"}}
	if _, err := r.Store.Append(t.Context(), eventstore.Draft{Aggregate: procedure.Aggregate(release), Event: first}); err != nil {
		t.Fatal(err)
	}
	s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil), release, time.Now())
	if err != nil || s.Phase != procedure.PhaseScope || s.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_BYPASSED ||
		!strings.Contains(s.Gates[0].GetReason(), "came and could not be kept: the evidence store is full") || s.Gates[0].GetMissing() {
		t.Errorf("phase %s, %v, %v", s.Phase, s.Gates, err)
	}
}

// TestAChangeRecordThatCannotBeKept is no answer for a planned release, and one for an
// emergency that may not go around it.
func TestAChangeRecordThatCannotBeKept(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(recorded, func(d *policyv1.Procedure) { d.ChangeRecords[0].Bypassable = false }))
	s := changerecordtest.Jira(t)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{s.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("CHG-1042", changerecordtest.Record{State: "Scheduled", Service: "shop"})
	step := gates.New(r.Procedures, r.Evidence, connectors)
	planned, urgent := request(t, r, "planned", nil), request(t, r, "urgent", nil, proceduretest.Emergency)
	eventstoretest.Full(t, r)
	if got, err := r.Act(t, step, planned, time.Now()); err == nil || got.Phase != procedure.PhaseGates || !strings.Contains(err.Error(), "cannot be kept as evidence") {
		t.Errorf("planned: in phase %s, %v", got.Phase, err)
	}
	got, err := r.Act(t, step, urgent, time.Now())
	if err != nil || got.Phase != procedure.PhaseScope || got.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_PASSED ||
		got.UnkeptReason(got.Gates[0].GetEvidence()[0]) == "" {
		t.Errorf("an emergency: in phase %s with %v, not kept %v, %v", got.Phase, got.Gates, got.Unkept, err)
	}
	eventstoretest.Room(t, r)
	if got, err := r.Act(t, step, planned, time.Now()); err != nil || got.Phase != procedure.PhaseScope || len(got.Unkept) != 0 {
		t.Errorf("with room: in phase %s, %v, %v", got.Phase, got.Unkept, err)
	}
}
