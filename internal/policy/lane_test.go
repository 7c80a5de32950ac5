package policy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// withLane is a document whose lowest level has a lane for the releases of proceduretest.
func withLane() *policyv1.Procedure {
	return &policyv1.Procedure{
		HighRiskAreas:       []string{"authentication"},
		HighRiskApprovals:   []*policyv1.Approvals{{Group: "security", Count: 2}},
		NoRollbackApprovals: []*policyv1.Approvals{{Group: "security", Count: 3}},
		Environments: []*policyv1.Environment{{Name: "production", Approvals: []*policyv1.Approvals{
			{Group: "release-managers", Count: 2}, {Group: "security", Count: 1},
		}}},
		Gates: []*policyv1.Gate{{Name: "tests"}, {Name: "declaration"}, {Name: "other", Areas: []string{"billing"}}},
		RiskScore: &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 1},
			Levels: []*policyv1.RiskLevel{
				{From: 1, Lane: &policyv1.Lane{
					Name: "standard", Environments: []string{"production"}, Services: []string{"shop"},
					Approvals: []*policyv1.Approvals{{Group: "release-managers", Count: 1}}, Gates: []string{"declaration"},
				}},
				{From: 3},
			},
		},
	}
}

// lookedAt is a release before step 3 in which everything is in order.
func lookedAt(changes ...func(*procedure.State)) procedure.State {
	passed := releasev1.GateVerdict_STATUS_PASSED
	s := procedure.State{
		Request: proceduretest.Request(),
		Gates: []*releasev1.GateVerdict{
			{Gate: "tests", Status: passed, Evidence: []string{"a"}}, {Gate: "declaration", Status: passed, Evidence: []string{"b"}},
		},
		Findings: []*releasev1.Finding{{Rule: "owner", Severity: releasev1.Finding_SEVERITY_OK}},
		Previews: []*releasev1.TargetPreview{{Target: "eu1", RollbackReady: true}, {Target: "us1", RollbackReady: true}, {Target: "us2", RollbackReady: true}},
	}
	for _, change := range changes {
		change(&s)
	}
	return s
}

// TestNothingEntersALaneForWhichAnythingAsksForMore (PD-3.4), nor what only the request
// declares to be harmless.
func TestNothingEntersALaneForWhichAnythingAsksForMore(t *testing.T) {
	const full = "release-managers 2, security 1"
	for _, test := range []struct {
		name     string
		document func(*policyv1.Procedure)
		state    func(*procedure.State)
		quorum   string
		why      string // it does not
	}{
		{"a standard change", nil, nil, "release-managers 1", ""},
		{"another service", nil, func(s *procedure.State) { s.Request.Service = "mail" }, full, ""},
		{"another environment", func(d *policyv1.Procedure) { lane(d).Environments = []string{"staging"} }, nil, full, ""},
		{"what weighs more", nil, func(s *procedure.State) {
			proceduretest.Waves([]string{"eu1", "us1", "us2"})(s.Request)
		}, full, ""},
		{"an emergency", nil, func(s *procedure.State) { proceduretest.Emergency(s.Request) }, " 1", "it is not planned"},
		{"a rollback", nil, func(s *procedure.State) { proceduretest.Rollback(s.Request) }, full, "it is not planned"},
		{"a high-risk area", nil, func(s *procedure.State) { s.Request.Risk.Areas = []string{"authentication"} }, "release-managers 2, security 2", "high-risk areas"},
		{"no way back", nil, func(s *procedure.State) { s.Previews[0].RollbackReady = false }, "release-managers 2, security 3", "no way back"},
		{"data that is changed for good", nil, func(s *procedure.State) { proceduretest.Irreversible(s.Request) }, "release-managers 2, security 3", "no way back"},
		{"a level that asks for more", func(d *policyv1.Procedure) {
			d.RiskScore.Levels[0].Approvals = []*policyv1.Approvals{{Group: "security", Count: 4}}
		}, nil, "release-managers 2, security 4", "its level asks for more"},
		{"an exception of a freeze", nil, func(s *procedure.State) { s.Overrides = []procedure.Override{{Freeze: "audit"}} }, full, "exception of a freeze"},
		{"something that was called out", nil, func(s *procedure.State) {
			s.Findings = append(s.Findings, &releasev1.Finding{Rule: "version.older", Severity: releasev1.Finding_SEVERITY_WARNING})
		}, full, "something was called out: version.older"},
		{"a gate that was waived", nil, func(s *procedure.State) { s.Gates[0].Status = releasev1.GateVerdict_STATUS_WAIVED }, full, "the gate tests was not passed"},
		{"nothing signed of what it declares", nil, func(s *procedure.State) { s.Gates = s.Gates[:1] }, full, "the gate declaration did not look at it"},
		{"a word of step 1 without evidence", nil, func(s *procedure.State) { s.Gates[1].Evidence = nil }, full, "the gate declaration did not look at it"},
		{"a gate that is not demanded of it", func(d *policyv1.Procedure) { lane(d).Gates = []string{"other"} }, func(s *procedure.State) {
			s.Gates = append(s.Gates, &releasev1.GateVerdict{Gate: "other", Status: releasev1.GateVerdict_STATUS_PASSED, Evidence: []string{"c"}})
		}, full, "the gate other did not look at it"},
		{"one of two gates", func(d *policyv1.Procedure) { lane(d).Gates = []string{"declaration", "other"} }, nil, full, "the gate other did not look at it"},
		{"signatures that its environment demands", func(d *policyv1.Procedure) { d.Environments[0].RequireSignedApprovals = true }, nil, "release-managers 1 signed", ""},
		{"a signature that one rule of its environment demands", func(d *policyv1.Procedure) { d.Environments[0].Approvals[0].Signed = true }, nil, "release-managers 1 signed", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			document, s := withLane(), lookedAt()
			if test.document != nil {
				test.document(document)
			}
			if test.state != nil {
				test.state(&s)
			}
			var quorum []string
			for _, q := range policy.Needed(document, s, time.Now(), false) {
				quorum = append(quorum, fmt.Sprintf("%s %d%s", q.GetGroup(), q.GetCount(), map[bool]string{true: " signed"}[q.GetSigned()]))
			}
			if got := strings.Join(quorum, ", "); got != test.quorum {
				t.Errorf("needed are %q, want %q", got, test.quorum)
			}
			chosen, findings := policy.Choose(document, s, time.Now())
			entered := strings.HasPrefix(test.quorum, "release-managers 1")
			if (chosen.GetLane() == "standard") != entered {
				t.Errorf("chosen is %v", chosen)
			}
			said := slices.ContainsFunc(findings, func(f *releasev1.Finding) bool {
				return f.GetRule() == "risk.lane" && strings.Contains(f.GetMessage(), test.why) && (f.GetSeverity() == releasev1.Finding_SEVERITY_WARNING) == entered
			})
			if said != (entered || test.why != "") {
				t.Errorf("findings %v", findings)
			}
		})
	}
}

func lane(d *policyv1.Procedure) *policyv1.Lane { return d.GetRiskScore().GetLevels()[0].GetLane() }

// TestALaneIsChecked appends one to the example.
func TestALaneIsChecked(t *testing.T) {
	full, err := os.ReadFile("../../examples/procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	data := string(full)
	const whole = "        environments: [cards]\n        services: [billing]\n        approvals:\n          - {group: release-managers, count: 1}\n"
	for _, test := range []struct{ name, from, to, want string }{
		{"as it is", "", "", ""},
		{"of no environment", whole, strings.Replace(whole, "[cards]", "[]", 1), "risk_score.levels[0].lane.environments"},
		{"of an environment that is not there", whole, strings.Replace(whole, "[cards]", "[moon]", 1), `there is no environment "moon"`},
		{"of no service", whole, strings.Replace(whole, "[billing]", "[]", 1), "risk_score.levels[0].lane.services"},
		{"of a service that is not there", whole, strings.Replace(whole, "[billing]", "[mail]", 1), `there is no service "mail"`},
		{"of nobody's approval", whole, strings.Replace(whole, ":\n          - {group: release-managers, count: 1}", ": []", 1), "risk_score.levels[0].lane.approvals"},
		{"of no approval", whole, strings.Replace(whole, "count: 1", "count: 0", 1), "risk_score.levels[0].lane.approvals[0].count"},
		{"of people who are not there", whole, strings.Replace(whole, "count: 1", "count: 9", 1), "risk_score.levels[0].lane.approvals[0].group"},
		{"where an environment is not looked at by its gate", whole, strings.Replace(whole, "[cards]", "[cards, production]", 1), "is not demanded of every planned release there"},
		{"without gates", "gates: [declaration]\n    - from", "gates: []\n    - from", "risk_score.levels[0].lane.gates"},
		{"with a gate that is not there", "gates: [declaration]\n    - from", "gates: [oath]\n    - from", `there is no gate "oath"`},
		{"with a gate that does not look at what is declared", "gates: [declaration]\n    - from", "gates: [tests]\n    - from", "no rule of these gates holds request.risk.areas against an attestation"},
		{"with a gate of some areas", "gates: [declaration]\n    - from", "gates: [declaration, threat-model]\n    - from", "the gate threat-model is not demanded of every planned release there"},
		{"above a level that has none", "    - from: 20\n", "    - from: 20\n      lane: {name: more, environments: [cards], services: [billing], approvals: [{group: release-managers, count: 1}], gates: [declaration]}\n", "so that nothing could ever go by it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !strings.Contains(data, test.from) {
				t.Fatalf("nothing to change: %s", test.from)
			}
			_, err := policy.Parse([]byte(strings.Replace(data, test.from, test.to, 1)), "procedure.yaml")
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v", err)
			}
		})
	}
	document := withLane()
	document.RiskScore.Levels[0], document.RiskScore.Levels[1] = &policyv1.RiskLevel{From: 1}, &policyv1.RiskLevel{From: 3, Lane: lane(withLane())}
	if !slices.ContainsFunc(policy.Check(document), func(v strictyaml.Violation) bool { return v.Rule == "lane.order" }) {
		t.Error("a lane of what weighs more is not reported")
	}
}

// TestALaneIsSaidToDemandLess where it is added to a document, or a level above it goes.
func TestALaneIsSaidToDemandLess(t *testing.T) {
	before := withLane()
	without := proto.CloneOf(before)
	without.RiskScore.Levels[0].Lane = nil
	none := proto.CloneOf(before)
	none.RiskScore = nil
	between := proto.CloneOf(before)
	between.RiskScore.Levels = slices.Insert(between.GetRiskScore().GetLevels(), 1, &policyv1.RiskLevel{From: 2})
	wider := proto.CloneOf(before)
	wider.RiskScore.Levels = wider.GetRiskScore().GetLevels()[:1]
	two := proto.CloneOf(before)
	lane(two).Approvals = append(lane(two).GetApprovals(), &policyv1.Approvals{Group: "security", Count: 2})
	signed := proto.CloneOf(before)
	lane(signed).Approvals[0].Signed = true
	for _, test := range []struct {
		name          string
		before, after *policyv1.Procedure
		want          string
	}{
		{"it is added", without, before, "the lane standard of a release that weighs 1 or more is there"},
		{"it comes with the score", none, before, "the lane standard of a release that weighs 1 or more is there"},
		{"it is taken out", before, without, ""},
		{"what is between them goes", between, before, "the lane standard is for what weighs 2 or more"},
		{"what weighs more has no level any more", before, wider, "the lane standard is for what weighs 3 or more"},
		{"nothing", before, before, ""},
		{"fewer people", two, before, "the lane standard of a release that weighs 1 or more needs 0 approvals of security instead of 2"},
		{"more people", before, two, ""},
		{"without signatures", signed, before, "the lane standard of a release that weighs 1 or more needs no signature of release-managers"},
	} {
		got := slices.DeleteFunc(policy.Loosened(test.before, test.after), func(l string) bool { return !strings.Contains(l, "lane") })
		if test.want == "" && len(got) > 0 || test.want != "" && !slices.Contains(got, test.want) {
			t.Errorf("%s: it says %q", test.name, got)
		}
	}
	for _, d := range []*policyv1.Procedure{without, before} {
		d.People, d.Groups = []*policyv1.Person{{Id: "anna", Name: "Anna"}}, []*policyv1.Group{{Name: "release-managers", Members: []string{"anna"}}}
	}
	if got := policy.Widened(policy.NewIndex(without), policy.NewIndex(before))["anna"]; !slices.Contains(got, "approve standard changes of the lane standard for release-managers") {
		t.Errorf("anna may %q", got)
	}
}
