package notify_test

import (
	"slices"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// selected has audiences of what is important, of what weighs much, and of one target.
func selected(d *policyv1.Procedure) {
	end := []releasev1.Occasion{releasev1.Occasion_OCCASION_END}
	audience := func(name string, change func(*policyv1.Audience)) {
		a := &policyv1.Audience{Name: name, Occasions: end, Groups: []string{"operators"}}
		change(a)
		d.Audiences = append(d.Audiences, a)
	}
	d.Services[0].Tier, d.Services[1].Tier = 1, 2
	d.Services = append(d.Services, &policyv1.Service{Name: "blog", OwnerGroups: []string{"developers"}})
	d.Groups[3].Contacts = []*policyv1.Contact{{Kind: policyv1.Contact_KIND_CHAT, Address: "#dev"}}
	d.RiskScore = &policyv1.RiskScore{Weights: &policyv1.RiskWeights{Target: 1}, Levels: []*policyv1.RiskLevel{{From: 1}}}
	audience("important", func(a *policyv1.Audience) { a.Tiers = []uint32{1, 2} })
	audience("lesser", func(a *policyv1.Audience) { a.Tiers = []uint32{2} })
	audience("dangerous", func(a *policyv1.Audience) { a.RiskFrom = 20 })
	audience("america", func(a *policyv1.Audience) { a.Targets = []string{"us1", "us2"} })
	audience("everything", func(a *policyv1.Audience) { a.Tiers, a.RiskFrom, a.Targets = []uint32{1}, 20, []string{"us1"} })
}

// TestAnAudienceIsFoundByTierRiskAndTargets: by all that it names, and by the risk only when
// it was weighed.
func TestAnAudienceIsFoundByTierRiskAndTargets(t *testing.T) {
	index := policy.NewIndex(approvaltest.Document(selected))
	america := proceduretest.Waves([]string{"eu1"}, []string{"us1"})
	for _, c := range []struct {
		name  string
		state procedure.State
		want  []string
	}{
		{"never weighed", procedure.State{Request: proceduretest.Request()}, []string{"important"}},
		{"light", procedure.State{Request: proceduretest.Request(), Score: &releasev1.RiskScore{Score: 19}}, []string{"important"}},
		{"heavy", procedure.State{Request: proceduretest.Request(), Score: &releasev1.RiskScore{Score: 20}}, []string{"important", "dangerous"}},
		{"elsewhere, too", procedure.State{Request: proceduretest.Request(america)}, []string{"important", "america"}},
		{"all of it", procedure.State{Request: proceduretest.Request(america), Score: &releasev1.RiskScore{Score: 99}}, []string{"important", "dangerous", "america", "everything"}},
		{"another service", procedure.State{Request: proceduretest.Request(func(r *releasev1.Request) { r.Service = "billing" })}, []string{"important", "lesser"}},
		{"a service without a tier", procedure.State{Request: proceduretest.Request(func(r *releasev1.Request) { r.Service = "blog" })}, nil},
	} {
		var got []string
		for _, m := range index.AudienceOf(releasev1.Occasion_OCCASION_END, c.state, time.Time{}) {
			got = append(got, m.Audience.GetName())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The risk by which an audience is chosen is that of the record: what step 3 weighed.
func TestAnAudienceOfWhatWeighsMuchIsToldWhatWasWeighed(t *testing.T) {
	r := newRig(t, selected)
	release := r.Reach(t, procedure.PhaseRisk)
	r.Do(t, release, "", proceduretest.Risk(r.State(t, release), r.now, func(f *procedure.RiskFacts) {
		f.Findings, f.Score = proceduretest.Blocking("risk.bake"), &releasev1.RiskScore{Score: 44}
	}))
	r.Do(t, release, "", proceduretest.Recorded(r.State(t, release)))
	r.act(t, release)
	var got []string
	for _, p := range r.told(t, release).GetAudience() {
		got = append(got, p.GetAudience())
	}
	if !slices.Equal(got, []string{"important", "dangerous"}) {
		t.Errorf("the end was told to %q", got)
	}
}
