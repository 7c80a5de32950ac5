package gates_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

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
	release := lost(t, r, "lost", envelope, proceduretest.Emergency)
	s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil), release, time.Now())
	if err != nil || s.Phase != procedure.PhaseScope || s.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_BYPASSED ||
		!strings.Contains(s.Gates[0].GetReason(), "came and could not be kept: no answer in time") || s.Gates[0].GetMissing() {
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

// lost begins a release whose event says that its evidence could not be kept.
func lost(t *testing.T, r *approvaltest.Rig, key string, envelope []byte, changes ...func(*releasev1.Request)) string {
	t.Helper()
	asked := proceduretest.Request(append(changes, proceduretest.Key(key))...)
	release := procedure.ReleaseID(asked.GetEnvironment(), asked.GetService(), asked.GetIdempotencyKey())
	first := proto.CloneOf(proceduretest.Requested(asked, time.Now()))
	first.ProcedureDigest = r.Digest
	first.GetRequested().Evidence = []*releasev1.EvidenceRef{{Digest: evidence.Digest(envelope), Size: int64(len(envelope)), Name: "evidence-0"}}
	first.Unkept = []*releasev1.UnkeptEvidence{{Digest: evidence.Digest(envelope), Name: "evidence-0", Reason: "no answer in time"}}
	if _, err := r.Store.Append(t.Context(), eventstore.Draft{Aggregate: procedure.Aggregate(release), Event: first}); err != nil {
		t.Fatal(err)
	}
	return release
}

// silent is a store that can be without a leader for those who read.
type silent struct {
	gates.Blobs
	err error
}

func (s *silent) Get(ctx context.Context, digest string) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	return s.Blobs.Get(ctx, digest)
}

// TestWhatIsThereAfterAllIsNotLost: the answer of the store was lost and not the evidence, or
// it was sent again. The gate that may not be bypassed looks, the record says that it is
// there, and it passes; what is not there is waited for where the document grants time. A
// store that does not answer is asked again first, and not for long.
func TestWhatIsThereAfterAllIsNotLost(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) {
		d.Gates[0].Bypassable, d.Gates[0].EvidenceWithin = false, durationpb.New(time.Hour)
	}))
	blobs := &silent{Blobs: r.Evidence}
	step := gates.New(r.Procedures, blobs, nil)
	envelope := tests(t, "ci", "PASSED", proceduretest.Digest('a'))
	gone := lost(t, r, "gone", []byte("gone"), proceduretest.Rollback)
	if s, err := r.Act(t, step, gone, time.Now()); err != nil || s.Phase != procedure.PhaseHeld || len(s.Unkept) != 1 {
		t.Errorf("evidence that is gone: phase %s, not kept %v, %v", s.Phase, s.Unkept, err)
	}
	release := lost(t, r, "there", envelope, proceduretest.Emergency)
	if _, err := r.Evidence.Put(t.Context(), "application/json", "evidence", envelope); err != nil {
		t.Fatal(err)
	}
	began := r.State(t, release).Entered
	blobs.err = errors.New("no response from stream")
	if s, err := r.Act(t, step, release, began.Add(time.Second)); !errors.Is(err, blobs.err) || s.Phase != procedure.PhaseGates {
		t.Errorf("while the store is silent: phase %s, %v", s.Phase, err)
	}
	other := lost(t, r, "silent", envelope, proceduretest.Emergency)
	if s, err := r.Act(t, step, other, r.State(t, other).Entered.Add(time.Minute)); err != nil || s.Phase != procedure.PhaseHeld {
		t.Errorf("when it was silent for long: phase %s, %v", s.Phase, err)
	}
	blobs.err = nil
	s, err := r.Act(t, step, release, began.Add(2*time.Second))
	if err != nil || s.Phase != procedure.PhaseScope || s.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_PASSED || len(s.Unkept) != 0 {
		t.Errorf("phase %s, %v, not kept %v, %v", s.Phase, s.Gates, s.Unkept, err)
	}
}

// TestAWayBackWaitsForNoRoom: what a registry has beside the image cannot be kept. A planned
// release waits for room, and neither an emergency nor a rollback does.
func TestAWayBackWaitsForNoRoom(t *testing.T) {
	h := newHarbor(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Referrers, d.Gates[0].Bypassable = true, false }))
	image := h.image(t, func(digest string) [][]byte { return [][]byte{tests(t, "ci", "PASSED", digest)} })
	step := gates.New(r.Procedures, r.Evidence, nil, h.finder)
	planned := request(t, r, "planned", nil, image)
	urgent, back := request(t, r, "urgent", nil, image, proceduretest.Emergency), request(t, r, "back", nil, image, proceduretest.Rollback)
	eventstoretest.Full(t, r)
	if s, err := r.Act(t, step, planned, time.Now()); !errors.Is(err, evidence.ErrFull) || s.Phase != procedure.PhaseGates {
		t.Errorf("planned: in phase %s, %v", s.Phase, err)
	}
	for name, release := range map[string]string{"an emergency": urgent, "a rollback": back} {
		s, err := r.Act(t, step, release, time.Now())
		if err != nil || s.Phase != procedure.PhaseScope || s.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_PASSED || len(s.Unkept) != 1 {
			t.Errorf("%s: in phase %s with %v, not kept %v, %v", name, s.Phase, s.Gates, s.Unkept, err)
		}
	}
}

// TestWhatWasLostIsFoundBesideTheImage: a statement that came with the request, could not be
// kept and is beside the image as well is a statement.
func TestWhatWasLostIsFoundBesideTheImage(t *testing.T) {
	h := newHarbor(t)
	r := approvaltest.New(t, approvaltest.Document(func(d *policyv1.Procedure) { d.Referrers, d.Gates[0].Bypassable = true, false }))
	var same []byte
	image := h.image(t, func(digest string) [][]byte { same = tests(t, "ci", "PASSED", digest); return [][]byte{same} })
	release := lost(t, r, "both", same, image, proceduretest.Emergency)
	s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil, h.finder), release, time.Now())
	if err != nil || s.Phase != procedure.PhaseScope || s.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_PASSED {
		t.Errorf("phase %s, %v, %v", s.Phase, s.Gates, err)
	}
}
