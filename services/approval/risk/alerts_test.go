package risk_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// monitor is an Alertmanager that says whatever the test has it say; "" is a failure.
type monitor struct {
	answer atomic.Pointer[string]
	asked  atomic.Int64
}

func (m *monitor) says(text string) { m.answer.Store(&text) }

func (m *monitor) fires(name string, since time.Time, labels string) {
	m.says(fmt.Sprintf(`[{"labels":{"alertname":%q,"service":"shop"%s},"startsAt":%q,"status":{"state":"active"}}]`, name, labels, since.UTC().Format(time.RFC3339Nano)))
}

func watching(t *testing.T, r *approvaltest.Rig) (*monitor, risk.Watch) {
	t.Helper()
	m := &monitor{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		m.asked.Add(1)
		if text := *m.answer.Load(); text != "" {
			_, _ = w.Write([]byte(text))
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	source, err := alerts.New(alerts.Config{Kind: configv1.AlertSource_KIND_ALERTMANAGER, URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return m, risk.Watch{Sources: map[string]risk.Alerts{"alertmanager": source}, Keeper: r.Evidence}
}

func alertRule(name, source string, bypassable bool) *policyv1.AlertRule {
	return &policyv1.AlertRule{
		Name: name, Source: source, Reason: "look after it first", Bypassable: bypassable, Environments: []string{"production"},
		Matchers: []*policyv1.LabelMatcher{{Label: "service", Value: &policyv1.LabelMatcher_Is{Is: "{service}"}}},
	}
}

// TestAlertsHoldAndSoDoesNotKnowing lets one source say all that it can.
func TestAlertsHoldAndSoDoesNotKnowing(t *testing.T) {
	now := time.Now()
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Alerts = []*policyv1.AlertRule{alertRule("errors", "alertmanager", true), alertRule("again", "alertmanager", true)}
	})
	m, watch := watching(t, r)
	look := func(key string, watch risk.Watch, changes ...func(*releasev1.Request)) procedure.State {
		t.Helper()
		release := r.Reach(t, procedure.PhaseRisk, append(changes, proceduretest.Key(key))...)
		s, err := r.Act(t, risk.New(r.Procedures, r.Store, watch), release, now)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	m.fires("ErrorRate", now.Add(-time.Hour), "")
	s := look("fires", watch)
	if !slices.Equal(holds(s), []string{"alert.firing", "alert.firing"}) || s.Holds[0].GetSubject() != "errors" || s.Holds[0].GetUntil() != nil ||
		!strings.Contains(s.Holds[0].GetMessage(), "ErrorRate fires since ") || !strings.Contains(s.Holds[0].GetMessage(), "look after it first") {
		t.Errorf("firing: %s, %v", s.Phase, s.Holds)
	}
	if n := m.asked.Load(); n != 1 {
		t.Errorf("two rules asked one source %d times", n)
	}
	for what, text := range map[string]string{"failure": "", "nonsense": "{}"} {
		m.says(text)
		if s := look(what, watch); !slices.Equal(holds(s), []string{"alert.unknown", "alert.unknown"}) {
			t.Errorf("%s: %s, %v", what, s.Phase, s.Holds)
		}
	}
	if s := look("unconfigured", risk.Watch{}); !slices.Equal(holds(s), []string{"alert.unknown", "alert.unknown"}) || !strings.Contains(s.Holds[0].GetMessage(), "no such source is configured") {
		t.Errorf("no source: %s, %v", s.Phase, s.Holds)
	}
	if s := look("urgent", risk.Watch{}, proceduretest.Emergency); s.Phase != procedure.PhaseApprove || !slices.Contains(s.Bypassed, "alert rule errors") {
		t.Errorf("emergency: %s, %v, bypassed %q", s.Phase, s.Holds, s.Bypassed)
	}
	m.says(`[{"labels":{"alertname":"Disk","service":"billing"},"startsAt":"2026-11-28T09:00:00Z","status":{"state":"active"}}]`)
	s = look("quiet", watch)
	if s.Phase != procedure.PhaseApprove {
		t.Fatalf("quiet: %s, %v", s.Phase, s.Holds)
	}
	// What was decided on is kept, by the digest that the finding names, and nothing else is.
	i := slices.IndexFunc(s.Findings, func(f *releasev1.Finding) bool { return f.GetRule() == "alert.firing" })
	_, digest, _ := strings.Cut(s.Findings[i].GetMessage(), "answer ")
	if kept, err := r.Evidence.Get(t.Context(), digest); err != nil || string(kept) != `{"form":"shipwarden.alerts/v1","alerts":[]}` ||
		!strings.HasPrefix(s.Findings[i].GetMessage(), "none of the 1 alerts of alertmanager") {
		t.Errorf("kept: %s, %v", kept, err)
	}
}

// TestAnAlertDoesNotHoldTheWayBackFromWhatRaisedIt has one that began with a release, and
// one that was there before.
func TestAnAlertDoesNotHoldTheWayBackFromWhatRaisedIt(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Alerts = []*policyv1.AlertRule{alertRule("errors", "alertmanager", false)}
	})
	m, watch := watching(t, r)
	m.says(`[]`)
	gone := r.Reach(t, procedure.PhaseExecuting, proceduretest.Key("gone"))
	claimed := time.Now()
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-before", Version: "1.4.1", Digest: proceduretest.Digest('b'), Service: "shop"})
	r.Carries(t, "eu1", &releasev1.Deployment{Release: gone, Version: "1.4.2", Digest: proceduretest.Digest('a'), Service: "shop"})
	for _, test := range []struct {
		name     string
		since    time.Time
		labels   string
		rollback bool
		want     procedure.Phase
	}{
		{"raised by it", claimed.Add(time.Second), "", true, procedure.PhaseApprove},
		{"there before", claimed.Add(-time.Hour), "", true, procedure.PhaseHeld},
		{"said to be its", claimed.Add(-time.Hour), `,"shipwarden_release":"` + gone + `"`, true, procedure.PhaseApprove},
		{"raised by it, and something new comes", claimed.Add(time.Second), "", false, procedure.PhaseHeld},
	} {
		t.Run(test.name, func(t *testing.T) {
			m.fires("ErrorRate", test.since, test.labels)
			changes := []func(*releasev1.Request){proceduretest.Key(strings.NewReplacer(" ", "-", ",", "").Replace(test.name))}
			if test.rollback {
				changes = append(changes, proceduretest.Rollback, func(q *releasev1.Request) {
					q.RollbackOf, q.Version, q.Artifacts[0].Digest = gone, "1.4.1", proceduretest.Digest('b')
				})
			}
			release := r.Reach(t, procedure.PhaseScope, changes...)
			scope := approvaltest.Scope(r.State(t, release))
			scope.GetScopeValidated().GetTargets()[0].State = &releasev1.TargetState{Generation: 2}
			r.Do(t, release, "", scope)
			r.To(t, release, procedure.PhaseRisk)
			s, err := r.Act(t, risk.New(r.Procedures, r.Store, watch), release, time.Now())
			if err != nil || s.Phase != test.want {
				t.Errorf("phase %s, %v, %v", s.Phase, s.Holds, err)
			}
		})
	}
}
