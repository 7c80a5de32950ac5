package gates_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

// recorded is a document that demands a change of Jira of planned releases to production.
func recorded(d *policyv1.Procedure) {
	d.ChangeRecords = []*policyv1.ChangeRecordRule{{
		Name: "change-record", Connector: "jira", System: "jira", IdPattern: "CHG-[0-9]+", States: []string{"Scheduled", "Implementing"},
		Environments: []string{"production"}, Triggers: []releasev1.Trigger{releasev1.Trigger_TRIGGER_PLANNED, releasev1.Trigger_TRIGGER_EMERGENCY}, Bypassable: true,
	}}
	d.Gates, d.Keys = nil, nil
}

// TestTheChangeRecordIsLookedUp asks a system with Jira's answers (PD-1.1, N-20).
func TestTheChangeRecordIsLookedUp(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(recorded))
	s := changerecordtest.Jira(t)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{s.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good := changerecordtest.Record{State: "Scheduled", Service: "shop", Start: now.Add(-time.Hour), End: now.Add(time.Hour)}
	for _, c := range []struct {
		name    string
		change  func(*changerecordtest.Record)
		lane    func(*releasev1.Request)
		phase   procedure.Phase
		status  releasev1.GateVerdict_Status
		reason  string
		keeping bool
	}{
		{"approved", func(*changerecordtest.Record) {}, nil, procedure.PhaseScope, releasev1.GateVerdict_STATUS_PASSED, `CHG-1042 is in state "Scheduled", its window from`, true},
		{"its window is to come", func(r *changerecordtest.Record) { r.Start = now.Add(30 * time.Minute) }, nil, procedure.PhaseScope, releasev1.GateVerdict_STATUS_PASSED, "", true},
		{"not approved", func(r *changerecordtest.Record) { r.State = "Awaiting approval" }, nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, `is in state "Awaiting approval"`, true},
		{"another service's", func(r *changerecordtest.Record) { r.Service = "billing" }, nil, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, `is about "billing"`, true},
		{
			"over before it is to start", func(*changerecordtest.Record) {}, func(q *releasev1.Request) { q.NotBefore = timestamppb.New(now.Add(2 * time.Hour)) },
			procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "ended", true,
		},
		{"an id of another form", func(*changerecordtest.Record) {}, func(q *releasev1.Request) { q.ChangeRecord.Id = "INC-1" }, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "must match", false},
		{"not there", func(*changerecordtest.Record) {}, func(q *releasev1.Request) { q.ChangeRecord.Id = "CHG-1" }, procedure.PhaseRecord, releasev1.GateVerdict_STATUS_FAILED, "there is no change record CHG-1", true},
		{"an emergency without", func(r *changerecordtest.Record) { r.State = "Closed" }, proceduretest.Emergency, procedure.PhaseScope, releasev1.GateVerdict_STATUS_BYPASSED, "Closed", true},
	} {
		record := good
		c.change(&record)
		s.Set("CHG-1042", record)
		var changes []func(*releasev1.Request)
		if c.lane != nil {
			changes = append(changes, c.lane)
		}
		release := request(t, r, strings.ReplaceAll(c.name, " ", "-"), nil, changes...)
		got, err := r.Act(t, gates.New(r.Procedures, r.Evidence, connectors), release, time.Now())
		if err != nil || got.Phase != c.phase || len(got.Gates) != 1 {
			t.Errorf("%s: in phase %s with %v: %v", c.name, got.Phase, got.Gates, err)
			continue
		}
		v := got.Gates[0]
		if v.GetGate() != "change-record" || v.GetStatus() != c.status || !strings.Contains(v.GetReason(), c.reason) || v.GetSignedBy() != "" {
			t.Errorf("%s: the verdict is %v", c.name, v)
		}
		if (len(v.GetEvidence()) == 1) != c.keeping {
			t.Fatalf("%s: the evidence is %v", c.name, v.GetEvidence())
		}
		if c.keeping {
			if kept, err := r.Evidence.Get(t.Context(), v.GetEvidence()[0]); err != nil || !strings.Contains(string(kept), `"status": `) {
				t.Errorf("%s: kept is %s: %v", c.name, kept, err)
			}
		}
	}
}

// TestAChangeRecordThatIsNotKnownWaitsAndIsRefusedThen has a system that is down.
func TestAChangeRecordThatIsNotKnownWaitsAndIsRefusedThen(t *testing.T) {
	r := approvaltest.New(t, approvaltest.Document(recorded))
	s := changerecordtest.Jira(t)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{s.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("CHG-1042", changerecordtest.Record{State: "Scheduled"})
	s.Fail(http.StatusServiceUnavailable)
	step := gates.New(r.Procedures, r.Evidence, connectors)
	waits, refused := request(t, r, "waits", nil), request(t, r, "refused", nil)
	entered := r.State(t, waits).Entered
	patience := r.State(t, waits).Requested.GetTimeouts().GetStep().AsDuration()
	for _, release := range []string{waits, refused} {
		if got, err := r.Act(t, step, release, entered.Add(patience-time.Second)); err == nil || got.Phase != procedure.PhaseGates {
			t.Errorf("while it is down: in phase %s, %v", got.Phase, err)
		}
	}
	// An emergency does not wait for what it may go around.
	urgent := request(t, r, "urgent", nil, proceduretest.Emergency)
	if got, err := r.Act(t, step, urgent, time.Now()); err != nil || got.Phase != procedure.PhaseScope || got.Gates[0].GetStatus() != releasev1.GateVerdict_STATUS_BYPASSED {
		t.Errorf("an emergency: in phase %s with %v, %v", got.Phase, got.Gates, err)
	}
	got, err := r.Act(t, step, refused, r.State(t, refused).Entered.Add(patience))
	if err != nil || got.Phase != procedure.PhaseRecord || !strings.Contains(got.EndReason, "the change record could not be read: HTTP 503") {
		t.Errorf("when its time is over: in phase %s, %q, %v", got.Phase, got.EndReason, err)
	}
	s.Fail(0)
	if got, err := r.Act(t, step, waits, time.Now()); err != nil || got.Phase != procedure.PhaseScope {
		t.Errorf("when it answers again: in phase %s, %v", got.Phase, err)
	}
}
