package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/natstest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
	"github.com/blackdice/shipwarden/services/approval/whatif"
)

// provedElsewhere asks for no evidence in production: releases that a test carries on by
// hand have none.
func provedElsewhere(d *policyv1.Procedure) { d.Gates[0].Environments = []string{"staging"} }

// agedThen is foundThen, with evidence that counts for three hours, or is waived.
func agedThen(d *policyv1.Procedure) {
	foundThen(d)
	d.Gates[0].MaxAge, d.Gates[0].Bypassable = durationpb.New(3*time.Hour), false
	d.Gates[0].Waivable = &policyv1.Waivable{Max: durationpb.New(24 * time.Hour)}
	d.Keys = append(d.Keys, &policyv1.Key{Id: "desk", Ed25519: approvaltest.PublicKey("desk"), Waives: []string{"tests"}})
	d.Targets[0].Kinds = []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE}
}

func signed(t *testing.T, key, predicateType string, predicate map[string]any) []byte {
	t.Helper()
	content, err := attest.Sign(attest.Statement{
		PredicateType: predicateType, Predicate: predicate, Subjects: []attest.Subject{{Name: "shop", Digest: proceduretest.Digest('a')}},
	}, key, approvaltest.Key(key))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestTheEarliestStartIsByWindowsAndEvidenceAsWell: explain, pending and what-if count the
// window of the change record, and foresee that evidence, or a waiver, will not count any more
// when it begins. Explain and pending ask nobody for it.
func TestTheEarliestStartIsByWindowsAndEvidenceAsWell(t *testing.T) {
	now := time.Now()
	jira := changerecordtest.Jira(t)
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{jira.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	found := &registry{}
	world := whatif.World{Outside: gates.Outside{Connectors: connectors, Finder: found, Within: time.Minute}}
	r := rigIn(t, natstest.Single(t), nil, world, agedThen)
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-one", Digest: proceduretest.Digest('b')})
	desk := r.dial(t)
	fresh := signed(t, "ci", approvaltest.TestType, map[string]any{"result": "PASSED", "timestamp": now.Format(time.RFC3339)})
	waived := signed(t, "desk", attest.WaiverType, map[string]any{
		"gate": "tests", "owner": "finn", "reason": "the lab is down", "environment": "production",
		"issued": now.Format(time.RFC3339), "expires": now.Add(time.Hour).Format(time.RFC3339),
	})
	for _, c := range []struct {
		name         string
		statement    []byte
		start, end   time.Duration
		frozen       time.Duration // by a document that takes effect later
		late         time.Duration // when explain and pending are asked
		earliest     time.Duration // negative where no start is feasible
		rules, words []string
	}{
		{"in-time", fresh, 2 * time.Hour, 5 * time.Hour, 0, 0, 2 * time.Hour, []string{changerecord.RuleWindow}, []string{"the window of change record CHG-1042 begins"}},
		{"at-once", fresh, -time.Hour, 5 * time.Hour, 0, 0, 0, nil, nil},
		{"too-old", fresh, 4 * time.Hour, 6 * time.Hour, 0, 0, -1, []string{changerecord.RuleWindow, "evidence.outdated"}, []string{"no start is feasible: the earliest start is", "is of " + now.UTC().Format(time.RFC3339) + " and older than 3h0m0s"}},
		{"waived", waived, 30 * time.Minute, 6 * time.Hour, 0, 0, 30 * time.Minute, []string{changerecord.RuleWindow}, nil},
		{"waived-no-longer", waived, 2 * time.Hour, 6 * time.Hour, 0, 0, -1, []string{changerecord.RuleWindow, "waiver.expired"}, []string{"finn answers for gate tests no longer than until"}},
		{"over-already", fresh, -time.Hour, time.Hour, 0, 2 * time.Hour, -1, []string{changerecord.RuleRecord}, []string{"no start is feasible", "the window of change record CHG-1042 ended"}},
		{"over-behind-a-freeze", fresh, -time.Hour, time.Hour, 2 * time.Hour, 0, -1, []string{changerecord.RuleRecord, "freeze"}, []string{"no start is feasible: the rest lets it begin at"}},
	} {
		record := changerecordtest.Record{State: "Scheduled", Service: "shop", Start: now.Add(c.start).Truncate(time.Second), End: now.Add(c.end).Truncate(time.Second)}
		jira.Set("CHG-1042", record)
		found.shelf = shelf{c.statement}
		request := proceduretest.Request(proceduretest.Key(c.name), func(q *releasev1.Request) {
			q.Artifacts[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE
		})
		release := r.Request(t, func(q *releasev1.Request) { proto.Reset(q); proto.Merge(q, request) })
		if s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, connectors, found), release, now); err != nil || s.Phase != procedure.PhaseScope {
			t.Fatalf("%s: phase %s, %v, %v", c.name, s.Phase, s.Gates, err)
		}
		r.To(t, release, procedure.PhaseApprove)
		same := func(who string, holds []*releasev1.HoldReason, earliest *timestamppb.Timestamp) {
			t.Helper()
			var rules, words []string
			for _, h := range holds {
				rules, words = append(rules, h.GetRule()), append(words, h.GetMessage())
			}
			at := now.Add(c.earliest)
			if c.start == c.earliest {
				at = record.Start
			}
			if !slices.Equal(rules, c.rules) || (earliest == nil) != (c.earliest < 0) || c.earliest > 0 && !earliest.AsTime().Equal(at) {
				t.Errorf("%s, %s: %v, from %v", c.name, who, holds, earliest.AsTime())
			}
			for _, w := range c.words {
				if !strings.Contains(strings.Join(words, "\n"), w) {
					t.Errorf("%s, %s: no %q in %q", c.name, who, w, words)
				}
			}
		}
		if c.frozen > 0 {
			r.Activate(t, approvaltest.Document(agedThen, func(d *policyv1.Procedure) {
				d.Version, d.Freezes = "1.1", []*policyv1.Freeze{frozen("audit", now.Add(c.frozen))}
			}))
		}
		r.ahead.Store(int64(c.late))
		asked := jira.Asked()
		explained, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		same("explain", explained.GetOutlook().GetHolds(), explained.GetOutlook().GetEarliestStart())
		shown, err := desk.GetPending(as(t, "ben"), &approvalv1.GetPendingRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		same("pending", shown.GetPending().GetHolds(), shown.GetPending().GetEarliestStart())
		if jira.Asked() != asked {
			t.Errorf("%s: the system of change records was asked", c.name)
		}
		r.Do(t, release, "otto", proceduretest.Withdraw())
		r.ahead.Store(0)
		if strings.HasPrefix(c.name, "waived") || c.late > 0 {
			continue // What-if calls evidence and waivers by the same name, and is asked now.
		}
		sent, err := proto.Marshal(request)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: sent})
		if err != nil {
			t.Fatal(err)
		}
		same("what-if", answer.GetOutlook().GetHolds(), answer.GetOutlook().GetEarliestStart())
	}
}
