package execute_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAnotherChoiceThanTheDocumentsIsRefused (PD-3.4): whoever writes as the approval service
// leaves out what the document chooses, chooses something else, or lets a plan pass that does
// not do.
func TestAnotherChoiceThanTheDocumentsIsRefused(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	w.Digest = w.Activate(t, sitetest.Document("risk_score: {weights: {target: 10}, levels: [{from: 10, bake: 30m}]}\n"))
	raise := func(r *releasev1.Request) { r.Validation.MayRaise = true }
	long := func(r *releasev1.Request) { r.Validation.Bake = durationpb.New(time.Hour) }
	bake := func(d time.Duration) *releasev1.Chosen { return &releasev1.Chosen{Bake: durationpb.New(d)} }
	for i, c := range []struct {
		name    string
		changes []func(*releasev1.Request)
		chosen  *releasev1.Chosen
		rules   []string
	}{
		{"the document's", []func(*releasev1.Request){raise}, bake(30 * time.Minute), nil},
		{"none", []func(*releasev1.Request){raise}, nil, []string{"risk.chosen"}},
		{"a shorter one", []func(*releasev1.Request){raise}, bake(29 * time.Minute), []string{"risk.chosen"}},
		{"a longer one", []func(*releasev1.Request){raise}, bake(31 * time.Minute), []string{"risk.chosen"}},
		{"one of what does already", []func(*releasev1.Request){raise, long}, bake(2 * time.Hour), []string{"risk.chosen"}},
		{"a plan that does not do", nil, nil, []string{"risk.bake"}},
		{"an emergency", []func(*releasev1.Request){raise, proceduretest.Emergency}, nil, nil},
		{"a plan that does", []func(*releasev1.Request){long}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.Release(t, append(c.changes, proceduretest.Key(fmt.Sprintf("choice-%d", i)))...)
			r.To(t, procedure.PhaseRisk)
			r.Do(t, "", proceduretest.Risk(r.State(t), time.Now(), func(f *procedure.RiskFacts) { f.Chosen = c.chosen }))
			r.To(t, procedure.PhaseExecute)
			if got := refusedBy(t, w, r); !slices.Equal(got, c.rules) {
				t.Errorf("refused by %v, want %v", got, c.rules)
			}
		})
	}
}

// TestOtherWavesThanTheDocumentsAreRefused (PD-3.4), and the document's are claimed one after
// the other, with the number of each.
func TestOtherWavesThanTheDocumentsAreRefused(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Noop("eu2"))
	w.Carries(t, "eu1", 1)
	w.Carries(t, "eu2", 1)
	w.Digest = w.Activate(t, sitetest.Document("risk_score: {weights: {target: 10}, levels: [{from: 10, first_wave: 1}]}\n"))
	both := proceduretest.Waves([]string{"eu1", "eu2"})
	let := func(r *releasev1.Request) { both(r); r.Plan.MayDivide = true }
	divided := &releasev1.Chosen{Waves: []*releasev1.Wave{{Targets: []string{"eu1"}}, {Targets: []string{"eu2"}}}}
	for i, c := range []struct {
		name    string
		request func(*releasev1.Request)
		chosen  *releasev1.Chosen
		rules   []string
	}{
		{"none", let, nil, []string{"risk.chosen"}},
		{"a plan that does not do", both, nil, []string{"risk.waves"}},
		{"the document's", let, divided, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := w.Release(t, c.request, proceduretest.Key(fmt.Sprintf("waves-%d", i)))
			r.To(t, procedure.PhaseRisk)
			r.Do(t, "", proceduretest.Risk(r.State(t), time.Now(), func(f *procedure.RiskFacts) { f.Chosen = c.chosen }))
			r.To(t, procedure.PhaseExecute)
			if got := refusedBy(t, w, r); !slices.Equal(got, c.rules) {
				t.Errorf("refused by %v, want %v", got, c.rules)
			}
			if claimed := r.Find(t, "execution_claimed").GetExecutionClaimed(); c.rules == nil && !slices.Equal(claimed.GetTargets(), []string{"eu1"}) {
				t.Errorf("claimed are %v", claimed)
			}
		})
	}
}

// TestALaneThatTheDocumentDoesNotOpenIsRefused (PD-3.4): whoever writes as the approval service
// lets a release go by one, with fewer approvals, or says that its gate was passed.
func TestALaneThatTheDocumentDoesNotOpenIsRefused(t *testing.T) {
	t.Parallel()
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	document := signedGates(`, rules: [{name: declared, expression: 'attestation.predicate.data == "unchanged" && size(request.risk.areas) == 0', message: declared otherwise}]`) +
		"environments:\n  - {name: production, approvals: [{group: release-managers, count: 1}, {group: security, count: 1}]}\n"
	open := "risk_score: {weights: {target: 10}, levels: [{from: 10, lane: {name: standard, environments: [production], services: [shop], approvals: [{group: release-managers, count: 1}], gates: [tests]}}]}\n"
	standard := &releasev1.Chosen{Lane: "standard"}
	few, all := []string{"release-managers"}, []string{"release-managers", "security"}
	for i, c := range []struct {
		name, document string
		lane           *releasev1.Chosen
		quorum         []string
		data           string
		rules          []string
	}{
		{"open", document + open, standard, few, "unchanged", nil},
		{"no such lane", document, standard, few, "unchanged", []string{"risk.chosen", "approval.quorum"}},
		{"no such lane, and everybody agrees", document, standard, all, "unchanged", []string{"risk.chosen"}},
		{"another lane", document + open, &releasev1.Chosen{Lane: "other"}, few, "unchanged", []string{"risk.chosen"}},
		{"fewer people without a lane", document + open, nil, few, "unchanged", []string{"risk.chosen"}},
		{"a gate that says otherwise", document + open, standard, few, "irreversible", []string{"evidence.outdated"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.Digest = w.Activate(t, c.document+fmt.Sprintf("# %d\n", i))
			r := w.Release(t, proceduretest.Key(fmt.Sprintf("lane-%d", i)))
			r.Evidence = proof(t, w, "ci", testType, map[string]any{"result": "PASSED", "timestamp": time.Now().Format(time.RFC3339Nano), "data": c.data})
			r.To(t, procedure.PhaseRisk)
			r.Do(t, "", proceduretest.Risk(r.State(t), time.Now(), func(f *procedure.RiskFacts) {
				f.Chosen, f.Quorum = c.lane, nil
				for _, group := range c.quorum {
					f.Quorum = append(f.Quorum, &releasev1.QuorumRule{Group: group, Count: 1})
				}
			}))
			approved(t, r, []string{"anna", "ben"}[:len(c.quorum)]...)
			if got := refusedBy(t, w, r); !slices.Equal(got, c.rules) {
				t.Errorf("refused by %v, want %v", got, c.rules)
			}
		})
	}
}
