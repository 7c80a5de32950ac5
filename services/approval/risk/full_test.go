package risk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// TestAFullStoreOfEvidenceStopsNoEmergency: what the source says cannot be kept. An emergency
// is judged by it all the same, also by a rule that it may not go around, and its event says
// that nobody can look at it; a planned release takes it for no answer.
func TestAFullStoreOfEvidenceStopsNoEmergency(t *testing.T) {
	now := time.Now()
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Alerts = []*policyv1.AlertRule{alertRule("errors", "alertmanager", false)}
	})
	m, watch := watching(t, r)
	noise := `,{"labels":{"alertname":"Disk","service":"billing","pod":"%d"},"startsAt":"2026-11-28T09:00:00Z","status":{"state":"active"}}`
	quiet := func(pod int) string { return "[" + fmt.Sprintf(noise, pod)[1:] + "]" }
	look := func(key string, changes ...func(*releasev1.Request)) (procedure.State, *releasev1.Event) {
		t.Helper()
		release := r.Reach(t, procedure.PhaseRisk, append(changes, proceduretest.Key(key))...)
		s, err := r.Act(t, risk.New(r.Procedures, r.Store, watch), release, now)
		if err != nil {
			t.Fatal(err)
		}
		entries := r.Task(t, release, now).History.Entries
		return s, entries[len(entries)-1].Event
	}
	// While there is room, looks that say the same are kept once, whatever else fires.
	before, err := r.Evidence.Fill(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for i := range 3 {
		m.says(quiet(i))
		_, e := look(fmt.Sprint("quiet-", i))
		digests = append(digests, e.GetRiskCleared().GetAlerts()[0].GetAnswer().GetDigest())
	}
	after, err := r.Evidence.Fill(t.Context())
	if err != nil || len(slices.Compact(digests)) != 1 || after.Used-before.Used > 4<<10 {
		t.Errorf("three looks are kept as %q and take %d bytes: %v", digests, after.Used-before.Used, err)
	}

	eventstoretest.Full(t, r)
	m.fires("ErrorRate", now.Add(-time.Hour), "")
	s, e := look("planned")
	if !slices.Equal(holds(s), []string{"alert.unknown"}) || !strings.Contains(s.Holds[0].GetMessage(), "cannot be kept as evidence, the evidence store is full") ||
		len(e.GetUnkept()) != 0 {
		t.Errorf("planned: %s, %v, %v", s.Phase, s.Holds, e.GetUnkept())
	}
	if s, _ := look("urgent", proceduretest.Emergency); !slices.Equal(holds(s), []string{"alert.firing"}) || s.Unkept[0].GetName() != "alerts of alertmanager" {
		t.Errorf("an emergency while it fires, by a rule that it may not go around: %s, %v, %v", s.Phase, s.Holds, s.Unkept)
	}
	m.says(`[]`)
	if s, _ := look("calm", proceduretest.Emergency); s.Phase != procedure.PhaseApprove || len(s.Unkept) != 0 {
		t.Errorf("what is kept already needs no room: %s, %v, %v", s.Phase, s.Holds, s.Unkept)
	}
}
