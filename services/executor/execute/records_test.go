package execute_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

const demanded = `change_records:
  - {name: change-record, connector: servicenow, system: jira, id_pattern: "CHG-[0-9]+", states: ["-2", "-1"], bypassable: true}
`

// records is a world whose releases need a change record, and the system that keeps it.
func records(t *testing.T, w *sitetest.World) (*changerecordtest.System, changerecord.Connectors) {
	t.Helper()
	w.Digest = w.Keep(t, sitetest.Document(demanded))
	s := changerecordtest.ServiceNow(t)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{s.Connector(t, "../../..", "servicenow")})
	if err != nil {
		t.Fatal(err)
	}
	return s, connectors
}

// TestTheChangeRecordIsLookedUpAgainAtTheStart: since step 1 it may have been taken back, and
// only now is its window what matters (PD-1.1).
func TestTheChangeRecordIsLookedUpAgainAtTheStart(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	s, connectors := records(t, w)
	now := time.Now().UTC().Truncate(time.Second)
	for _, test := range []struct {
		name   string
		record changerecordtest.Record
		status int
		lane   func(*releasev1.Request)
		phase  procedure.Phase
		rule   string
	}{
		{"in order", changerecordtest.Record{State: "-1", Service: "shop", End: now.Add(time.Hour)}, 0, nil, procedure.PhaseExecuting, ""},
		{"taken back", changerecordtest.Record{State: "4"}, 0, nil, procedure.PhaseRecord, "change_record"},
		{"its window is over", changerecordtest.Record{State: "-1", End: now.Add(-time.Second)}, 0, nil, procedure.PhaseRecord, "change_record"},
		{"its window is to come", changerecordtest.Record{State: "-2", Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)}, 0, nil, procedure.PhaseHeld, "change_record.window"},
		{"nobody answers", changerecordtest.Record{}, http.StatusBadGateway, nil, procedure.PhaseHeld, "change_record.unknown"},
		{"an emergency goes around", changerecordtest.Record{State: "4"}, 0, proceduretest.Emergency, procedure.PhaseExecuting, ""},
	} {
		s.Set("CHG-1042", test.record)
		s.Fail(test.status)
		var changes []func(*releasev1.Request)
		if test.lane != nil {
			changes = append(changes, test.lane)
		}
		r := w.Release(t, append(changes, proceduretest.Key(strings.ReplaceAll(test.name, " ", "-")))...)
		r.To(t, procedure.PhaseExecute)
		e := w.Executor(t, "one", nil)
		e.Connectors = connectors
		events, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), r.Task(t, 1))
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		state := r.State(t)
		if state.Phase != test.phase {
			t.Errorf("%s: in phase %s, %q", test.name, state.Phase, state.EndReason)
		}
		switch claimed := events[0].GetExecutionClaimed(); {
		case test.phase == procedure.PhaseHeld && (state.Holds[0].GetRule() != test.rule || test.status == 0 && !state.HeldUntil.Equal(test.record.Start)):
			t.Errorf("%s: held by %v until %s", test.name, state.Holds, state.HeldUntil)
		case test.phase == procedure.PhaseRecord && events[0].GetExecutionRefused().GetFindings()[0].GetRule() != test.rule:
			t.Errorf("%s: refused by %v", test.name, events[0])
		case test.phase == procedure.PhaseExecuting && test.lane == nil:
			if c := claimed.GetChangeRecords(); len(c) != 1 || c[0].GetState() != "-1" || !strings.HasPrefix(c[0].GetDigest(), "sha256:") {
				t.Errorf("%s: the claim names %v", test.name, c)
			}
		case test.phase == procedure.PhaseExecuting && !strings.Contains(strings.Join(state.Bypassed, ","), "change record change-record"):
			t.Errorf("%s: bypassed is %q", test.name, state.Bypassed)
		}
		if test.phase == procedure.PhaseExecuting {
			w.Unlock(t, "eu1", r.ID, nil)
		}
	}
}

// TestAnUnknownChangeRecordIsRefusedInTheEnd: the authorization ends before anybody answers.
func TestAnUnknownChangeRecordIsRefusedInTheEnd(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	s, connectors := records(t, w)
	s.Fail(http.StatusInternalServerError)
	r := w.Release(t)
	r.To(t, procedure.PhaseExecute)
	e := w.Executor(t, "one", nil)
	e.Connectors = connectors
	task := r.Task(t, 1)
	task.Now = task.State.Authorized.GetValidUntil().AsTime().Add(-6 * time.Second)
	if _, err := e.Turn(t.Context(), execute.New(e.Site, time.Now), task); err != nil {
		t.Fatal(err)
	}
	if got := r.State(t); got.Phase != procedure.PhaseRecord || !strings.Contains(got.EndReason, "could not be read: HTTP 500") {
		t.Errorf("in phase %s: %q", got.Phase, got.EndReason)
	}
}
