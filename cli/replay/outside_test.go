package replay_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/alerts"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/authorize"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// outside is a document that rests on what other systems and people say: change records,
// alerts, a quota of emergencies, stand-ins, signatures, exceptions of freezes.
func outside(t *testing.T) func(*policyv1.Procedure) {
	t.Helper()
	return func(d *policyv1.Procedure) {
		d.ChangeRecords = []*policyv1.ChangeRecordRule{{
			Name: "change", Connector: "jira", System: "jira", IdPattern: "CHG-[0-9]+", States: []string{"Implementing"}, Bypassable: true,
		}}
		d.Alerts = []*policyv1.AlertRule{{
			Name: "burning", Source: "alertmanager", Reason: "put it out first", Bypassable: true,
			Matchers: []*policyv1.LabelMatcher{{Label: "service", Value: &policyv1.LabelMatcher_Is{Is: "{service}"}}},
		}}
		d.Emergency.Quota = &policyv1.EmergencyQuota{Count: 1, Period: durationpb.New(720 * time.Hour), Over: []*policyv1.Approvals{{Group: "security", Count: 1}}}
		d.StandIns = &policyv1.StandIns{Longest: durationpb.New(336 * time.Hour), Groups: []string{"release-managers"}}
		for _, f := range d.GetFreezes() {
			f.OverrideGroups, f.Overrun = []string{"operators"}, policyv1.Freeze_OVERRUN_ROLL_BACK
		}
		for _, p := range d.GetPeople() {
			if !p.GetMachine() && !p.GetInactive() {
				p.SigningKeys = []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, p.GetId()))}}
			}
		}
	}
}

// tracked gives the world a system that keeps change records.
func (w *world) tracked(t *testing.T) *world {
	t.Helper()
	w.system = changerecordtest.Jira(t)
	var err error
	if w.connectors, err = changerecord.Open([]*configv1.ChangeConnector{w.system.Connector(t, "../..", "jira")}); err != nil {
		t.Fatal(err)
	}
	return w
}

// track has the release's change record say this or that.
func (g *generator) track() {
	if g.system == nil {
		return
	}
	r := changerecordtest.Record{State: "Implementing", Service: "shop", Start: g.Now.Add(-time.Hour), End: g.Now.Add(48 * time.Hour)}
	switch g.rand.IntN(12) {
	case 0:
		r.State = "Awaiting approval"
	case 1:
		r.Start = g.Now.Add(time.Minute)
	case 2:
		r.Service = ""
	}
	g.system.Set("CHG-1042", r)
}

// sources answer, or not: mostly that nothing fires.
func (g *generator) sources() []risk.Answer {
	if len(g.index.Document().GetAlerts()) == 0 {
		return nil
	}
	a := risk.Answer{Record: &releasev1.AlertAnswer{Source: "alertmanager"}}
	service := []string{"shop", "billing", "billing", "billing"}[g.rand.IntN(4)]
	if g.rand.IntN(12) == 0 {
		a.Record.Error = "the source gives no answer: not in time"
		return []risk.Answer{a}
	}
	body := fmt.Appendf(nil, `[{"labels":{"alertname":"Errors","service":%q},"startsAt":%q,"status":{"state":"active"}}]`, service, g.Now.UTC().Format(time.RFC3339))
	a.Record.Answer = g.kept.put(body)
	var err error
	if a.Alerts, err = alerts.Parse(body); err != nil {
		g.t.Fatal(err)
	}
	return []risk.Answer{a}
}

// watch has sources of alerts asked at a start, which is held by what fires.
func (g *generator) watch(x *releasev1.ExecutionClaimed) *releasev1.Event {
	answers := g.sources()
	x.Alerts = alerts.Records(answers)
	verdicts, err := alerts.Judge(g.index.Document().GetAlerts(), g.State().Request, answers)
	if err != nil {
		g.t.Fatal(err)
	}
	held := &releasev1.Held{Alerts: x.GetAlerts(), Until: timestamppb.New(g.Now.Add(time.Minute))}
	for _, v := range verdicts {
		switch {
		case v.Why == "":
		case alerts.Bypass(v.Rule, g.State().Request):
			x.Bypassed = append(x.Bypassed, alerts.Around(v.Rule))
		default:
			held.Reasons = append(held.Reasons, &releasev1.HoldReason{Rule: v.Word, Subject: v.Rule.GetName(), Message: v.Why})
		}
	}
	if len(held.GetReasons()) == 0 {
		return nil
	}
	return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: held}}
}

// used is what another history says of emergencies before.
func (g *generator) used() []*releasev1.Finding {
	if g.index.Document().GetEmergency().GetQuota() == nil || !g.State().Emergency() {
		return nil
	}
	f := &releasev1.Finding{Rule: "emergency.quota", Severity: releasev1.Finding_SEVERITY_OK, Subject: "shop", Message: "1 of 1 emergencies"}
	if g.rand.IntN(2) == 0 {
		f.Severity, f.Message = releasev1.Finding_SEVERITY_WARNING, "1 emergencies of shop, and 1 are allowed"
	}
	return []*releasev1.Finding{f}
}

// consent is an approval by a person: at times for somebody else, at times signed.
func (g *generator) consent(person string, shown string, now time.Time) *releasev1.Event {
	s := g.State()
	x := &releasev1.ApprovalGiven{ChangeDigest: s.ChangeDigest, Comment: "seen", ShownDigest: shown}
	switch {
	case person == "finn": // who is in no group
		d := &releasev1.Delegation{Number: 1, Person: "anna", StandIn: "finn", From: timestamppb.New(now.Add(-time.Hour)), Until: timestamppb.New(now.Add(24 * time.Hour)), Reason: "away"}
		x.StandIn = &releasev1.StandIn{Person: "anna", Groups: []string{"release-managers"}, Delegations: []*releasev1.Delegation{d}}
	case g.index.Document().GetStandIns() != nil && g.rand.IntN(2) == 0:
		a := consenttest.Signed(g.t, s, procedure.Approval{
			Person: person, Expires: now.Add(time.Hour), Comment: x.GetComment(), ShownDigest: shown,
			Signature: &releasev1.ApprovalSignature{Signed: timestamppb.New(now)},
		}, sshsigtest.Key(g.t, person))
		x.Signature = a.Signature
	}
	return authorize.Approval(g.index, s, x, now)
}

// standsIn reports whether finn approves in place of anna.
func (g *generator) standsIn(now time.Time) bool {
	s := g.State()
	return g.index.Document().GetStandIns() != nil && g.rand.IntN(3) == 0 &&
		procedure.MayApproveFor(s, g.person("finn"), &releasev1.StandIn{Person: "anna", Groups: []string{"release-managers"}, Delegations: []*releasev1.Delegation{{Number: 1, Person: "anna", StandIn: "finn"}}}, s.ChangeDigest, now) == nil
}

// overrides is an exception of the freeze that holds the release; nil where nobody makes one.
func (g *generator) overrides() *releasev1.Event {
	s := g.State()
	if len(s.FrozenBy()) == 0 || len(s.Overrides) > 0 || g.rand.IntN(2) == 0 {
		return nil
	}
	for _, f := range g.index.Document().GetFreezes() {
		if f.GetName() == s.FrozenBy()[0] && len(f.GetOverrideGroups()) > 0 {
			return &releasev1.Event{Data: &releasev1.Event_FreezeOverridden{FreezeOverridden: &releasev1.FreezeOverridden{
				Freeze: f.GetName(), FreezeDigest: freeze.Digest(f), Reason: "customers cannot pay", Ticket: "INC-7",
			}}}
		}
	}
	return nil
}

// claim is a start, for which the change record is looked up again, and when it is decided:
// when the window of the record has begun.
func (g *generator) claim(now time.Time) (*releasev1.Event, time.Time) {
	if lunch := time.Date(now.Year(), now.Month(), now.Day(), 11, 5, 0, 0, time.UTC); g.connectors != nil && g.State().Started() && now.Before(lunch) {
		g.Advance(lunch.Sub(now)) // The next wave comes into the freeze.
		now = lunch
	}
	if j, err := g.index.Freezes(g.State(), now); err != nil || len(j.RollBack) > 0 {
		return &releasev1.Event{Data: &releasev1.Event_ExecutionOverrun{ExecutionOverrun: &releasev1.ExecutionOverrun{Wave: g.State().Wave, Reasons: j.RollBack}}}, now
	}
	_, event := g.Good()
	x := event.GetExecutionClaimed()
	if refused := g.prove(x, now); refused != nil {
		return refused, now
	}
	if g.connectors == nil {
		return event, now
	}
	if g.State().Phase == procedure.PhaseExecute && g.rand.IntN(8) > 0 { // or it is of before they were asked
		if held := g.watch(x); held != nil {
			return held, now
		}
	}
	for _, rule := range g.index.ChangeRecordsFor(g.State().Request) {
		if g.State().Emergency() && rule.GetBypassable() {
			continue
		}
		for _, r := range g.connectors.Check(g.t.Context(), []*policyv1.ChangeRecordRule{rule}, g.State().Request, now) {
			if r.Unknown != nil || r.Why != "" {
				g.t.Fatalf("%v, %s", r.Unknown, r.Why)
			}
			if !r.From.IsZero() {
				g.Advance(r.From.Sub(now))
				return g.claim(r.From)
			}
			r.Reading.Digest = g.kept.put(r.Document).GetDigest()
			x.ChangeRecords = append(x.ChangeRecords, r.Reading)
		}
	}
	return event, now
}

// TestReleasesThatRestOnOthersReplayIdentically has generated ones under such a document.
func TestReleasesThatRestOnOthersReplayIdentically(t *testing.T) {
	w := newWorld(t, outside(t)).tracked(t)
	r := replay.New(envelopetest.Ring(), w.kept.Get)
	seen := map[string]int{}
	for seed := range uint64(200) {
		g := w.release(t, seed)
		report, err := r.Release(t.Context(), g.Release, g.messages)
		if err != nil {
			t.Fatal(err)
		}
		if !report.OK() {
			t.Fatalf("seed %d: %+v", seed, report)
		}
		for _, d := range report.Decisions {
			if d.Result != replay.Derived && len(d.Taken) == 0 || d.Result == replay.Derived && len(d.Taken) > 0 {
				t.Errorf("seed %d: %+v: what was taken is not named, or is and counts as derived", seed, d)
			}
			said := d.Type + ": " + d.Detail + "; " + strings.Join(d.Taken, "; ")
			for word, of := range map[string][2]string{
				"signature": {"approval_given", "signed by"}, "stand-in": {"approval_given", "stood in for"},
				"change record": {"gates_confirmed", "that jira gave the answer"}, "record that refuses": {"gates_refused", "that jira gave the answer"},
				"start": {"execution_claimed", "that the change record let it start"}, "quiet start": {"execution_claimed", "that no alert held it"},
				"start of before": {"execution_claimed", "whether alerts fired, which is not on record"}, "start that waits": {"start_held", "the alerts that hold it"},
				"overrun": {"execution_overrun", "that freezes take it back"},
				"alerts":  {"risk_cleared", "freezes, alerts"}, "alerts that hold": {"held", "freezes, alerts"},
			} {
				if strings.HasPrefix(said, of[0]+":") && strings.Contains(said, of[1]) {
					seen[word]++
				}
			}
		}
		for _, m := range g.messages {
			e := m.GetEvent()
			if e.GetFreezeOverridden() != nil {
				seen["override"]++
			}
			for _, f := range e.GetRiskCleared().GetFindings() {
				if f.GetRule() == "emergency.quota" && f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING {
					seen["quota"]++
				}
			}
		}
		seen["waiver"] += len(g.State().Waivers())
		seen[g.State().Outcome.String()]++
	}
	for _, word := range []string{
		"signature", "stand-in", "change record", "record that refuses", "start", "alerts", "alerts that hold", "quiet start", "start of before", "start that waits", "override", "overrun", "quota", "waiver",
		releasev1.Outcome_OUTCOME_SUCCEEDED.String(), releasev1.Outcome_OUTCOME_ROLLED_BACK.String(),
	} {
		if seen[word] == 0 {
			t.Errorf("there was no %s: %v", word, seen)
		}
	}
}

// TestASignedLieAboutOthersIsReported has decisions that do not follow from what others
// said or signed, although whoever made them has the key of the service.
func TestASignedLieAboutOthersIsReported(t *testing.T) {
	w := newWorld(t, outside(t)).tracked(t)
	other := sshsigtest.Key(t, "somebody else")
	for name, test := range map[string]struct {
		lie  func(g *generator, e *releasev1.Event) bool
		want string
	}{
		"a change record that is in no such state": {func(_ *generator, e *releasev1.Event) bool {
			for _, v := range e.GetGatesConfirmed().GetVerdicts() {
				if v.GetGate() == "change" && strings.Contains(v.GetReason(), "Implementing") {
					v.Reason = strings.Replace(v.GetReason(), "Implementing", "Scheduled", 1)
					return true
				}
			}
			return false
		}, `"Scheduled\"`},
		"a change record that passed and was asked nobody": {func(_ *generator, e *releasev1.Event) bool {
			for _, v := range e.GetGatesConfirmed().GetVerdicts() {
				if v.GetGate() == "change" && len(v.GetEvidence()) > 0 && v.GetStatus() == releasev1.GateVerdict_STATUS_PASSED {
					v.Evidence = nil
					return true
				}
			}
			return false
		}, "change record change passed, and no answer is kept"},
		"a start that leaves the change record out": {func(_ *generator, e *releasev1.Event) bool {
			was := len(e.GetExecutionClaimed().GetChangeRecords()) > 0
			if was {
				e.GetExecutionClaimed().ChangeRecords = nil
			}
			return was
		}, "change_records: there is none that change demands"},
		"a start by another reading": {func(_ *generator, e *releasev1.Event) bool {
			all := e.GetExecutionClaimed().GetChangeRecords()
			if len(all) > 0 {
				all[0].State = "Done"
			}
			return len(all) > 0
		}, "the answer that is kept says something else"},
		"alerts that fired": {func(g *generator, e *releasev1.Event) bool {
			all := e.GetRiskCleared().GetAlerts()
			if len(all) == 0 || g.State().Emergency() { // which goes around them
				return false
			}
			all[0].Answer = g.kept.put([]byte(`[{"labels":{"service":"shop"},"startsAt":"2026-01-01T00:00:00Z","status":{"state":"active"}}]`))
			return true
		}, "it should be held"},
		"alerts that fired at the start": {func(g *generator, e *releasev1.Event) bool {
			all := e.GetExecutionClaimed().GetAlerts()
			if len(all) == 0 || g.State().Emergency() {
				return false
			}
			all[0].Error, all[0].Answer = "", g.kept.put([]byte(`[{"labels":{"service":"shop"},"startsAt":"2026-01-01T00:00:00Z","status":{"state":"active"}}]`))
			return true
		}, "alerts: the start should have waited by burning"},
		"alerts that an emergency says nothing of": {func(g *generator, e *releasev1.Event) bool {
			all := e.GetExecutionClaimed().GetAlerts()
			if len(all) == 0 || !g.State().Emergency() || slices.Contains(g.State().Bypassed, "alert rule burning") {
				return false
			}
			all[0].Error, all[0].Answer = "", g.kept.put([]byte(`[{"labels":{"service":"shop"},"startsAt":"2026-01-01T00:00:00Z","status":{"state":"active"}}]`))
			e.GetExecutionClaimed().Bypassed = nil
			return true
		}, "bypassed: alert rule burning holds the start, and is not there"},
		"a start that waits for no alert": {func(g *generator, e *releasev1.Event) bool {
			all := e.GetStartHeld().GetAlerts()
			if len(all) == 0 {
				return false
			}
			all[0].Error, all[0].Answer = "", g.kept.put([]byte(`[]`))
			return true
		}, "reasons: by what sources of alerts said they are []"},
		"alerts that nobody asked for": {func(_ *generator, e *releasev1.Event) bool {
			x := e.GetRiskCleared()
			if x == nil {
				return false
			}
			x.Alerts, x.Findings = nil, x.GetFindings()[:0]
			return true
		}, "there is none by the alert rule burning"},
		"a way back for no freeze's sake": {func(_ *generator, e *releasev1.Event) bool {
			x := e.GetExecutionOverrun()
			if x != nil {
				x.Reasons[0].Subject = "tea"
			}
			return x != nil
		}, "reasons: the freeze lunch takes it back, and is not there"},
		"a signature of somebody else": {func(g *generator, e *releasev1.Event) bool {
			x := e.GetApprovalGiven()
			if x.GetSignature() == nil {
				return false
			}
			x.Signature.Armored = sshsigtest.Sign(g.t, other, procedure.SignatureNamespace, []byte("shipwarden approval v1\n"))
			return true
		}, "it is no key of the person"},
		"a signature for another comment": {func(_ *generator, e *releasev1.Event) bool {
			if e.GetApprovalGiven().GetSignature() == nil {
				return false
			}
			e.GetApprovalGiven().Comment = "whatever"
			return true
		}, "signature does not hold"},
		"a stand-in for a group that the procedure has none for": {func(_ *generator, e *releasev1.Event) bool {
			x := e.GetApprovalGiven().GetStandIn()
			if x == nil {
				return false
			}
			x.Groups = append(x.GetGroups(), "operators")
			return true
		}, "operators is none of those"},
		"a delegation that is over": {func(_ *generator, e *releasev1.Event) bool {
			x := e.GetApprovalGiven().GetStandIn()
			if x == nil {
				return false
			}
			x.Delegations[0].Until = timestamppb.New(x.GetDelegations()[0].GetFrom().AsTime().Add(time.Minute))
			return true
		}, "does not stand in for anna with these delegations"},
		"a delegation for longer than any may": {func(_ *generator, e *releasev1.Event) bool {
			x := e.GetApprovalGiven().GetStandIn()
			if x == nil {
				return false
			}
			x.Delegations[0].Until = timestamppb.New(x.GetDelegations()[0].GetFrom().AsTime().Add(1000 * time.Hour))
			return true
		}, "stand_in.delegations[0].until"},
		"a target that became free twice": {func(_ *generator, e *releasev1.Event) bool {
			x := e.GetTargetFreed()
			if x == nil {
				return false
			}
			x.Targets = append(x.GetTargets(), x.GetTargets()[0])
			return true
		}, "derived is \"us2\", recorded is \"us2\","},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(200) {
				lied := false
				g := w.release(t, seed, func(g *generator) {
					g.lie = func(e *releasev1.Event) { lied = test.lie(g, e) || lied }
				})
				if !lied {
					continue
				}
				report := g.replay(t, w.kept.Get, g.messages)
				var details []string
				for _, d := range report.Decisions {
					if d.Result == replay.Differs {
						details = append(details, d.Detail)
					}
				}
				if !strings.Contains(strings.Join(details, "\n"), test.want) {
					t.Errorf("%q, want %s", details, test.want)
				}
				return
			}
			t.Error("there was no such event")
		})
	}
}

// TestSignersOfOnesOwnAreAskedAsWell has a document whose keys are not those that the
// auditor knows.
func TestSignersOfOnesOwnAreAskedAsWell(t *testing.T) {
	w := newWorld(t, outside(t)).tracked(t)
	known := func(name string) *policy.Index {
		document := &policyv1.Procedure{}
		for _, p := range w.index.Document().GetPeople() {
			document.People = append(document.People, &policyv1.Person{Id: p.GetId(), SigningKeys: []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, name+p.GetId()))}}})
		}
		return policy.NewIndex(document)
	}
	for seed := range uint64(200) {
		g := w.release(t, seed)
		signed := false
		for _, m := range g.messages {
			signed = signed || m.GetEvent().GetApprovalGiven().GetSignature() != nil
		}
		if !signed {
			continue
		}
		for name, fine := range map[string]bool{"": true, "another ": false} {
			r := replay.New(envelopetest.Ring(), w.kept.Get)
			r.Signers(known(name))
			report, err := r.Release(t.Context(), g.Release, g.messages)
			if err != nil || report.OK() != fine {
				t.Errorf("signers %q: %+v, %v", name, report, err)
			}
		}
		return
	}
	t.Error("nobody signed")
}

// TestEveryChangedByteOfWhatOthersSaidIsReported flips bits in what such a release rests on.
func TestEveryChangedByteOfWhatOthersSaidIsReported(t *testing.T) {
	w := newWorld(t, outside(t)).tracked(t)
	w.kept = maps.Clone(w.kept)
	g := w.successful(t)
	used := map[string]bool{}
	if report := g.replay(t, func(ctx context.Context, digest string) ([]byte, error) {
		used[digest] = true
		return w.kept.Get(ctx, digest)
	}, g.messages); !report.OK() {
		t.Fatalf("untouched: %+v", report)
	}
	kinds := map[string]int{}
	for digest := range used {
		content := w.kept[digest]
		switch {
		case strings.Contains(string(content), `"connector": "jira"`):
			kinds["change record"]++
		case strings.Contains(string(content), `"alertname"`):
			kinds["alerts"]++
		}
		g.flipped(t, w, digest)
	}
	if kinds["change record"] == 0 || kinds["alerts"] == 0 {
		t.Errorf("read were %v", kinds)
	}
}
