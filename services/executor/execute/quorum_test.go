package execute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/internal/standing"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// asked is what somebody who writes as the approval service writes down that a release
// needs, "sre:1:signed", with step 3 decided at that time.
func asked(t *testing.T, r *sitetest.Release, decided time.Time, quorum ...string) {
	t.Helper()
	r.To(t, procedure.PhaseRisk)
	e := proceduretest.Risk(r.State(t), time.Now(), func(f *procedure.RiskFacts) {
		f.Quorum = nil
		for _, q := range quorum {
			group, signed := strings.CutSuffix(q, ":signed")
			f.Quorum = append(f.Quorum, &releasev1.QuorumRule{Group: group, Count: 1, Signed: signed})
		}
	})
	e.Decided = timestamppb.New(decided)
	r.Do(t, "", e)
}

// approved lets people approve: "otto:signed" with their own key.
func approved(t *testing.T, r *sitetest.Release, people ...string) {
	t.Helper()
	for _, p := range people {
		person, signed := strings.CutSuffix(p, ":signed")
		if signed {
			r.Do(t, person, consenttest.Approval(t, r.State(t), person, sshsigtest.Key(t, person), time.Now()))
			continue
		}
		r.Do(t, person, proceduretest.Approval(r.State(t), time.Now().Add(time.Hour)))
	}
	r.To(t, procedure.PhaseExecute)
}

// refusedBy lets an executor start the release, and returns the rules by which it does not.
func refusedBy(t *testing.T, w *sitetest.World, r *sitetest.Release) []string {
	t.Helper()
	one := w.Executor(t, "one", nil)
	events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), r.Task(t, 1))
	if err != nil || len(events) == 0 {
		t.Fatalf("%v, %v", events, err)
	}
	var rules []string
	for _, f := range events[0].GetExecutionRefused().GetFindings() {
		rules = append(rules, f.GetRule())
	}
	if r.State(t).Started() != (len(rules) == 0) {
		t.Errorf("in phase %s: %s", r.State(t).Phase, r.State(t).EndReason)
	}
	if len(rules) == 0 {
		w.Unlock(t, "eu1", r.ID, w.Standing(t, "eu1").State)
	}
	return rules
}

// keyed is a document in which Otto is a commander, and he and Ben have keys.
func keyed(t *testing.T, more string) string {
	t.Helper()
	line := func(name string) string {
		return fmt.Sprintf("  - {id: %s, name: %s, signing_keys: [{ssh: %q}]}\n", name, name, strings.TrimSpace(sshsigtest.Public(sshsigtest.Key(t, name))))
	}
	out := strings.Replace(sitetest.Document(more), "  - {id: ben, name: ben}\n", line("ben")+line("otto"), 1)
	return strings.Replace(out, "members: [eve]", "members: [eve, otto]", 1)
}

// TestWhatOnlyALevelOfRiskDemandsIsDemandedAgain (PD-3.4): whoever writes as the approval
// service leaves out of the quorum what only the weight of the release asks for, or says
// that it was weighed when it weighed less.
func TestWhatOnlyALevelOfRiskDemandsIsDemandedAgain(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	const weeks, boundary = 15 * 24 * time.Hour, 14*24*time.Hour + 5*time.Minute
	level := func(weights string, from int, signed bool) string {
		return keyed(t, fmt.Sprintf("environments:\n  - {name: production, approvals: [{group: release-managers, count: 1}]}\n"+
			"risk_score: {weights: {%s}, levels: [{from: %d, approvals: [{group: security, count: 1, signed: %t}]}]}\n", weights, from, signed))
	}
	for i, c := range []struct {
		name, document string
		since, decided time.Duration
		quorum, people []string
		rules          []string
	}{
		{"left out", level("target: 10", 10, false), weeks, 0, []string{"release-managers"}, []string{"anna"}, []string{"approval.quorum"}},
		{"left out, though it is of a wave", level("wave: 10", 10, false), weeks, 0, []string{"release-managers"}, []string{"anna"}, []string{"approval.quorum"}},
		{"asked for without a signature", level("target: 10", 10, true), weeks, 0, []string{"release-managers", "security"}, []string{"anna", "ben"}, []string{"approval.quorum", "approval.signature"}},
		{"two weeks that were said not to have passed", level("week: 5", 10, false), weeks, -15 * 24 * time.Hour, []string{"release-managers"}, []string{"anna"}, []string{"approval.quorum"}},
		{"a year that was said to have passed, after which less is demanded", strings.Replace(level("week: 5", 10, false), "1, signed: false}]}]", "1}]}, {from: 100}]", 1), weeks, 365 * 24 * time.Hour, []string{"release-managers"}, []string{"anna"}, []string{"approval.quorum"}},
		{"two weeks", level("week: 5", 10, false), weeks, 0, []string{"release-managers", "security"}, []string{"anna", "ben"}, nil},
		{"three weeks that were not there yet", level("week: 5", 15, false), weeks, 0, []string{"release-managers"}, []string{"anna"}, nil},
		{"two weeks since, which were not over when it was weighed", level("week: 5", 10, false), boundary, -9 * time.Minute, []string{"release-managers"}, []string{"anna"}, nil},
		{"asked for", level("target: 10", 10, true), weeks, 0, []string{"release-managers", "security:signed"}, []string{"anna", "ben:signed"}, nil},
		{"below the level", level("target: 9", 10, true), weeks, 0, []string{"release-managers"}, []string{"anna"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, c.document+fmt.Sprintf("# %d\n", i))
			old := proto.CloneOf(w.Standing(t, "eu1").State)
			old.Deployed.Time = timestamppb.New(time.Now().Add(-c.since))
			w.Unlock(t, "eu1", old.GetDeployed().GetRelease(), old)
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("level-%d", i)))
			asked(t, r, time.Now().Add(c.decided), c.quorum...)
			approved(t, r, c.people...)
			if got := refusedBy(t, w, r); !slices.Equal(got, c.rules) {
				t.Errorf("refused by %v, want %v", got, c.rules)
			}
		})
	}
}

// TestAnEmergencyTooManyIsCountedAgain (N-04), where the approval service says nothing of
// the one before.
func TestAnEmergencyTooManyIsCountedAgain(t *testing.T) {
	t.Parallel()
	const period = "168h"
	document := func(period, over string) string {
		return keyed(t, "targets:\n  - {id: eu1, environment: production, services: [SERVICE]}\n"+
			"emergency: {group: incident-commanders, quota: {count: 1, period: "+period+over+"}}\n")
	}
	security := func(period string) string { return document(period, ", over: [{group: security, count: 1}]") }
	commander := document(period, ", over: [{group: incident-commanders, count: 1, signed: true}]")
	alone, both := []string{"incident-commanders"}, []string{"incident-commanders", "security"}
	w := sitetest.New(t, sitetest.Noop("eu1"))
	for i, c := range []struct {
		name, document string
		before         func(t *testing.T, w *sitetest.World, service change)
		quorum, people []string
		rules          []string
	}{
		{"the others are not asked for", security(period), carried, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"one by a list", security(period), listed, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"one by a list, authorized", security(period), usedUp, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"one by a list that names another 300 times before", security(period), listedBehind(300, "shop-none"), alone, []string{"eve"}, []string{"approval.quorum"}},
		{"one beside a list of 300 that are none", security(period), flooded, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"one that was rolled back", security(period), rolledBack, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"one long before", security(period), buried, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"nobody may be asked for it", document(period, ""), carried, alone, []string{"eve"}, []string{"emergency.quota"}},
		{"the same group once more", document(period, ", over: [{group: incident-commanders, count: 1}]"), carried, alone, []string{"eve"}, []string{"approval.quorum"}},
		{"the same group, without a signature", commander, carried, []string{"incident-commanders", "incident-commanders"}, []string{"eve", "otto"}, []string{"approval.quorum", "approval.signature"}},
		{"the same group, one of them signed", commander, carried, []string{"incident-commanders", "incident-commanders:signed"}, []string{"eve", "otto:signed"}, nil},
		{"they agree", security(period), carried, both, []string{"eve", "ben"}, nil},
		{"one before the period", security("0.001s"), carried, alone, []string{"eve"}, nil},
		{"one that was called off", security(period), calledOff, alone, []string{"eve"}, nil},
		{"one that was planned", security(period), planned, alone, []string{"eve"}, nil},
		{"one of another service", security(period), func(t *testing.T, w *sitetest.World, _ change) { carried(t, w, named("mail")) }, alone, []string{"eve"}, nil},
		{"one that was accepted later", security(period), func(t *testing.T, w *sitetest.World, service change) {
			r := w.Release(t, proceduretest.Emergency, service)
			r.To(t, procedure.PhaseGates)
			carried(t, w, service)
		}, alone, []string{"eve"}, nil},
		{"one long before, behind histories that are too long", security(period), padded, alone, []string{"eve"}, []string{"approval.quorum"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprintf("shop-%d", i)
			w.Digest = w.Activate(t, strings.ReplaceAll(c.document, "SERVICE", name))
			c.before(t, w, named(name))
			r := w.Release(t, proceduretest.Emergency, named(name))
			asked(t, r, time.Now(), c.quorum...)
			approved(t, r, c.people...)
			if got := refusedBy(t, w, r); !slices.Equal(got, c.rules) {
				t.Errorf("refused by %v, want %v", got, c.rules)
			}
		})
	}
}

// change is one of a request.
type change = func(*releasev1.Request)

func named(service string) change { return func(r *releasev1.Request) { r.Service = service } }

// carried is an emergency of before that the target carries.
func carried(t *testing.T, w *sitetest.World, service change) {
	w.Earlier(t, "eu1", 1, proceduretest.Emergency, service)
}

func planned(t *testing.T, w *sitetest.World, service change) { w.Earlier(t, "eu1", 1, service) }

// listed is an emergency that did nothing yet, by the list of the approval service.
func listed(t *testing.T, w *sitetest.World, service change) { listedBehind(0, "")(t, w, service) }

// listedBehind is listed, with another name that often before it.
func listedBehind(times int, name string) func(*testing.T, *sitetest.World, change) {
	return func(t *testing.T, w *sitetest.World, service change) {
		r := w.Release(t, proceduretest.Emergency, proceduretest.Key("listed"), service)
		r.To(t, procedure.PhaseNotify)
		list(t, w, r, append(slices.Repeat([]string{name}, times), r.ID), false)
	}
}

// usedUp is an emergency that was authorized and is not open any more, by the same list.
func usedUp(t *testing.T, w *sitetest.World, service change) {
	r := w.Release(t, proceduretest.Emergency, proceduretest.Key("used"), service)
	r.To(t, procedure.PhaseExecute)
	list(t, w, r, nil, true)
}

// flooded is an emergency that the target carries, and a list of many that never were.
func flooded(t *testing.T, w *sitetest.World, service change) {
	r := w.Earlier(t, "eu1", 1, proceduretest.Emergency, service)
	var open []string
	for i := range 300 {
		open = append(open, fmt.Sprintf("shop-none-%d", i))
	}
	list(t, w, r, open, false)
}

// list has the approval service write which releases of the service of one are open, and
// whether that one was an emergency that was authorized.
func list(t *testing.T, w *sitetest.World, r *sitetest.Release, open []string, used bool) {
	t.Helper()
	s, err := standing.ReadService(t.Context(), w.Store(procedure.ServiceApproval), r.Asked.GetEnvironment(), r.Asked.GetService())
	if err != nil {
		t.Fatal(err)
	}
	if used {
		s = s.Used(r.ID, r.State(t).RequestedAt)
	}
	changed := s.Changed(r.ID, open, nil)
	changed.ProcedureDigest = w.Digest
	w.Append(t, procedure.ServiceApproval, s.Draft(changed))
}

// rolledBack is an emergency that the target did not keep.
func rolledBack(t *testing.T, w *sitetest.World, service change) {
	r := w.Release(t, proceduretest.Emergency, proceduretest.Key("rolled-back"), service)
	r.To(t, procedure.PhaseExecute)
	w.Unlock(t, "eu1", r.ID, standing.TakenBack(w.Standing(t, "eu1").State, &releasev1.Deployment{
		Release: r.ID, Version: r.Asked.GetVersion(), Digest: r.Asked.GetArtifacts()[0].GetDigest(), Service: r.Asked.GetService(), Time: timestamppb.Now(),
	}))
}

// padded is buried, with histories of those two that somebody filled afterwards.
func padded(t *testing.T, w *sitetest.World, service change) {
	carried(t, w, service)
	for _, version := range []int{2, 3} {
		r := w.Earlier(t, "eu1", version, service)
		for range eventstore.MaxHistory {
			if _, err := w.JetStream().PublishAsync(procedure.Aggregate(r.ID)+".approval.approval_given", []byte("noise")); err != nil {
				t.Fatal(err)
			}
		}
		<-w.JetStream().PublishAsyncComplete()
	}
}

// buried is an emergency after which two others were released.
func buried(t *testing.T, w *sitetest.World, service change) {
	carried(t, w, service)
	for _, version := range []int{2, 3} {
		w.Earlier(t, "eu1", version, service)
	}
}

// calledOff is an emergency that nobody authorized.
func calledOff(t *testing.T, w *sitetest.World, service change) {
	w.Earlier(t, "eu1", 1, proceduretest.Emergency, service).Do(t, "rita", proceduretest.Withdraw())
}
