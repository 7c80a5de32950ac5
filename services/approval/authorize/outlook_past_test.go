package authorize_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/attest"
	"github.com/blackdice/shipwarden/internal/changerecord"
	"github.com/blackdice/shipwarden/internal/changerecord/changerecordtest"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/gates"
)

// shelf is what a registry had beside an image.
type shelf [][]byte

func (s shelf) Find(context.Context, *releasev1.Artifact, []string) ([][]byte, error) { return s, nil }

// TestAnotherDocumentJudgesWhatWasFoundThen: a gate that rests on a statement beside an
// image, and one that rests on a change record, are judged again by what was kept of them.
func TestAnotherDocumentJudgesWhatWasFoundThen(t *testing.T) {
	r := newRig(t, foundThen)
	jira := changerecordtest.Jira(t)
	jira.Set("CHG-1042", changerecordtest.Record{State: "Scheduled", Service: "shop"})
	connectors, err := changerecord.Open([]*configv1.ChangeConnector{jira.Connector(t, "../../..", "jira")})
	if err != nil {
		t.Fatal(err)
	}
	statement, err := attest.Sign(attest.Statement{
		PredicateType: approvaltest.TestType, Predicate: map[string]any{"result": "PASSED"},
		Subjects: []attest.Subject{{Name: "shop", Digest: proceduretest.Digest('a')}},
	}, "ci", approvaltest.Key("ci"))
	if err != nil {
		t.Fatal(err)
	}
	release := r.Request(t, func(q *releasev1.Request) {
		q.Artifacts[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE
	})
	s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, connectors, shelf{statement}), release, time.Now())
	if err != nil || s.Phase != procedure.PhaseScope {
		t.Fatalf("phase %s, %v, %v", s.Phase, s.Gates, err)
	}
	// What the system says today is no matter.
	jira.Set("CHG-1042", changerecordtest.Record{State: "Closed", Service: "shop"})
	asked := jira.Asked()
	const passed = "gates: change-record passed, tests passed"
	for name, c := range map[string]struct {
		change func(*policyv1.Procedure)
		after  string
	}{
		"the same":                  {func(*policyv1.Procedure) {}, ""},
		"another state":             {func(d *policyv1.Procedure) { d.ChangeRecords[0].States = []string{"Implementing"} }, "gates: change-record failed, tests passed"},
		"another name of the rule":  {func(d *policyv1.Procedure) { d.ChangeRecords[0].Name = "approved" }, "gates: approved passed, tests passed"},
		"an id of another form":     {func(d *policyv1.Procedure) { d.ChangeRecords[0].IdPattern = "INC-[0-9]+" }, "gates: change-record failed, tests passed"},
		"a window":                  {func(d *policyv1.Procedure) { d.ChangeRecords[0].RequireWindow = true }, "gates: change-record failed, tests passed"},
		"no change record":          {func(d *policyv1.Procedure) { d.ChangeRecords = nil }, "gates: tests passed"},
		"nothing from registries":   {func(d *policyv1.Procedure) { d.Referrers = false }, "gates: change-record passed, tests failed"},
		"a key that is not trusted": {func(d *policyv1.Procedure) { d.Keys[0].Revoked = true }, "gates: change-record passed, tests failed"},
		"another trusted root": {func(d *policyv1.Procedure) {
			d.Sigstore = &policyv1.Sigstore{TrustedRoot: proceduretest.Digest('9'), Identities: []*policyv1.Identity{{
				Id: "workflow", Issuer: "https://token.example", Name: &policyv1.Identity_Subject{Subject: "main"}, Gates: []string{"tests"},
			}}}
		}, "gates: not judged, for the trusted root that the document names is not kept yet"},
		"another system's connector": {func(d *policyv1.Procedure) { d.ChangeRecords[0].Connector = "servicenow" }, "gates: change-record not known, nobody looked then, tests passed"},
	} {
		data, err := protojson.Marshal(approvaltest.Document(foundThen, c.change))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := r.dial(t).CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: data, Releases: []string{release}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, d := range answer.GetDifferences() {
			for _, a := range d.GetAnswers() {
				if a.GetBefore() != passed || a.GetStep() != "1" {
					t.Errorf("%s: %v", name, a)
				}
				got = append(got, a.GetAfter())
			}
		}
		if strings.Join(got, "; ") != c.after {
			t.Errorf("%s: %q, want %q", name, got, c.after)
		}
	}
	if jira.Asked() != asked {
		t.Error("a question about the past asks the system of today")
	}
}

func foundThen(d *policyv1.Procedure) {
	d.Referrers = true
	d.ChangeRecords = []*policyv1.ChangeRecordRule{{Name: "change-record", Connector: "jira", System: "jira", IdPattern: "CHG-[0-9]+", States: []string{"Scheduled"}}}
}

// TestAnotherDocumentHearsStatementsOfV01WhereThatTimeDid: a document that asks for provenance
// of SLSA v0.2 is satisfied by a statement that no gate of the release had to hear; not where
// statements of in-toto v0.1 counted for nothing, which the gates that should have heard them
// tell.
func TestAnotherDocumentHearsStatementsOfV01WhereThatTimeDid(t *testing.T) {
	const v02 = "https://slsa.dev/provenance/v0.2"
	found := func(d *policyv1.Procedure) { d.Referrers = true }
	asks := func(d *policyv1.Procedure) {
		d.Gates = append(d.Gates, &policyv1.Gate{Name: "provenance", Title: "Built by CI", PredicateType: v02, Field: "result", Values: []string{"PASSED"}})
		d.Keys[0].Gates = []string{"tests", "provenance"}
	}
	sign := func(statementType, predicateType string) []byte {
		payload := fmt.Appendf(nil, `{"_type":%q,"subject":[{"name":"shop","digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"result":"PASSED"}}`,
			statementType, proceduretest.Digest('a')[7:], predicateType)
		signed, err := json.Marshal(dsse.Envelope{
			PayloadType: attest.PayloadType, Payload: base64.StdEncoding.EncodeToString(payload), Signatures: []dsse.Signature{{
				KeyID: "ci", Sig: base64.StdEncoding.EncodeToString(ed25519.Sign(approvaltest.Key("ci"), dsse.PAE(attest.PayloadType, payload))),
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	tests, olderTests, provenance := sign(attest.StatementType, approvaltest.TestType), sign(attest.StatementTypeV01, approvaltest.TestType), sign(attest.StatementTypeV01, v02)
	for name, c := range map[string]struct {
		statements [][]byte
		then       bool
		want       string
	}{
		"a statement that nobody had to hear": {[][]byte{tests, provenance}, false, "gates: tests passed -> gates: provenance passed, tests passed"},
		"statements that are heard":           {[][]byte{olderTests, provenance}, false, "gates: tests passed -> gates: provenance passed, tests passed"},
		"no such statement":                   {[][]byte{tests}, false, "gates: tests passed -> gates: provenance failed, tests passed"},
		"statements that counted for nothing": {[][]byte{olderTests, provenance}, true, "gates: tests failed -> gates: provenance failed, tests failed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, found)
			release := r.Request(t, func(q *releasev1.Request) { q.Artifacts[0].Kind = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE })
			if c.then {
				var beside gates.Beside
				for _, s := range c.statements {
					ref, err := r.Evidence.Put(t.Context(), "application/json", "statement", s)
					if err != nil {
						t.Fatal(err)
					}
					beside.Found, beside.Statements = append(beside.Found, ref), append(beside.Statements, s)
				}
				r.Do(t, release, "", gates.Judge(verdict.Trust{Index: r.Index(t), OnlyV1: true}, r.State(t, release), nil, beside, time.Now()))
			} else if s, err := r.Act(t, gates.New(r.Procedures, r.Evidence, nil, shelf(c.statements)), release, time.Now()); err != nil || s.Phase != procedure.PhaseScope {
				t.Fatalf("phase %s, %v, %v", s.Phase, s.Gates, err)
			}
			data, err := protojson.Marshal(approvaltest.Document(found, asks))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := r.dial(t).CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: data, Releases: []string{release}})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range answer.GetDifferences() {
				for _, a := range d.GetAnswers() {
					got = append(got, a.GetBefore()+" -> "+a.GetAfter())
				}
			}
			if !slices.Equal(got, []string{c.want}) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestAFirstReleaseHasNoWayBack, also where nobody has looked yet: there is nothing that
// anybody could place again, and so it is of a target of which nobody knows what it carries.
func TestAFirstReleaseHasNoWayBack(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	ask := func(changes ...func(*releasev1.Request)) (*approvalv1.OutlookStep, []*releasev1.Finding) {
		t.Helper()
		request, err := proto.Marshal(proceduretest.Request(changes...))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: request})
		if err != nil {
			t.Fatal(err)
		}
		return stepOf(t, answer.GetOutlook(), "3"), answer.GetFindings()
	}
	says := func(all []*releasev1.Finding, rule, text string) bool {
		return slices.ContainsFunc(all, func(f *releasev1.Finding) bool { return f.GetRule() == rule && strings.Contains(f.GetMessage(), text) })
	}
	recovery := func(q *releasev1.Request) { q.RollbackPlan.Recovery = "Take the page off the air." }
	step, findings := ask()
	if step.GetStanding() != approvalv1.OutlookStep_STANDING_REFUSED || !says(findings, "rollback.unavailable", "target eu1: nothing was ever released to it") {
		t.Errorf("a first release: %v, %v", step, findings)
	}
	if step, findings = ask(recovery); step.GetStanding() != approvalv1.OutlookStep_STANDING_DONE || says(findings, "rollback.ready", "") {
		t.Errorf("with a plan of what is done instead: %v, %v", step, findings)
	}
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-one", Digest: proceduretest.Digest('b')})
	if step, findings = ask(); step.GetStanding() != approvalv1.OutlookStep_STANDING_DONE || !says(findings, "rollback.ready", "every target can go back") {
		t.Errorf("a second release: %v, %v", step, findings)
	}
}

// TestAHoldByTheWayBackIsExplained, with who can put it right; another document makes no
// difference of it.
func TestAHoldByTheWayBackIsExplained(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	until := time.Now().Add(time.Minute)
	for _, rule := range []string{procedure.HoldRollbackUnknown, procedure.HoldRollbackUnproved, procedure.HoldPreviewUnknown} {
		release := r.Reach(t, procedure.PhaseExecute, proceduretest.Key(rule))
		held := proceduretest.Hold(rule, until)
		held.Reasons[0].SetBy, held.Reasons[0].Subject, held.Reasons[0].Message = "", "eu1", "nobody can tell whether target eu1 can go back"
		r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: held}})
		answer, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		step := stepOf(t, answer.GetOutlook(), "5")
		since := r.State(t, release).HeldSince.UTC().Format(time.RFC3339)
		if answer.GetPhase() != "held" || step.GetStanding() != approvalv1.OutlookStep_STANDING_NOW || step.GetUntil() != nil ||
			!slices.Equal(step.GetWho(), []string{"gina"}) || !slices.Equal(step.GetWaitsFor(), []string{
			rule + " eu1: nobody can tell whether target eu1 can go back", "held since " + since + ", looked at again " + until.UTC().Format(time.RFC3339),
		}) {
			t.Errorf("%s: %v", rule, answer)
		}
		data, err := protojson.Marshal(approvaltest.Document())
		if err != nil {
			t.Fatal(err)
		}
		same, err := desk.CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: data, Releases: []string{release}})
		if err != nil || len(same.GetDifferences()) > 0 {
			t.Errorf("%s: the same document makes a difference: %v, %v", rule, same, err)
		}
	}
}

// TestAHoldByADocumentThatNobodyReviewedNamesWhoCan: those whom the document before names, and
// neither who forced it nor whom it names itself.
func TestAHoldByADocumentThatNobodyReviewedNamesWhoCan(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseExecute)
	document := approvaltest.Document(func(d *policyv1.Procedure) {
		d.Version, d.Emergency.ReviewGroup = "1.1", "operators"
		for _, p := range d.GetPeople() {
			p.Inactive = p.GetInactive() || p.GetId() == "alan"
		}
	})
	data, err := protojson.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	active, _, err := amend.Activate(t.Context(), amend.Config{
		Store: r.Store, Evidence: r.Evidence, Procedures: r.Procedures, ProcedureID: approvaltest.ProcedureID, Now: time.Now,
	}, amend.Document{Procedure: document, Bytes: data}, amend.Administrative{Reason: "it burns", ClaimedBy: "Ben", Override: true})
	if err != nil {
		t.Fatal(err)
	}
	held := proceduretest.Hold(procedure.HoldDocumentUnreviewed, time.Now().Add(time.Minute))
	held.Reasons[0].SetBy, held.Reasons[0].Subject, held.Reasons[0].Message = "", active.Digest, "nobody has reviewed it"
	r.Do(t, release, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: held}})
	answer, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
	if err != nil {
		t.Fatal(err)
	}
	if step := stepOf(t, answer.GetOutlook(), "5"); !slices.Equal(step.GetWho(), []string{"ada", "cleo"}) {
		t.Errorf("%v", step)
	}
}

// TestWhatAFailureWouldLeadToIsShown to who approves, and to who asks what would come of a
// request; and while people are asked, until when and what then.
func TestWhatAFailureWouldLeadToIsShown(t *testing.T) {
	r := newRig(t, provedElsewhere, func(d *policyv1.Procedure) {
		d.Remediation = []*policyv1.Remediation{{
			Name: "ask-first", Then: releasev1.Remedy_ACTION_ASK, When: &policyv1.Situation{Causes: []releasev1.Cause{releasev1.Cause_CAUSE_VALIDATION_FAILED}},
			Ask: &policyv1.Asking{Who: releasev1.Remedy_ASKED_OWNER, Within: durationpb.New(15 * time.Minute), Otherwise: releasev1.Remedy_ACTION_ROLL_BACK},
		}}
	})
	desk := r.dial(t)
	const says = "validation failed: the owner is asked for 15m0s, then it goes back at once (ask-first)"
	release := r.Reach(t, procedure.PhaseApprove)
	explain := func() *approvalv1.Outlook {
		t.Helper()
		answer, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetOutlook()
	}
	if step := stepOf(t, explain(), "6"); !slices.Contains(step.GetWaitsFor(), says) {
		t.Errorf("explained: %v", step)
	}
	request, err := proto.Marshal(proceduretest.Request(proceduretest.Key("another")))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: request})
	if err != nil || !strings.Contains(strings.Join(stepOf(t, answer.GetOutlook(), "6").GetWaitsFor(), "; "), "validation failed: the owner is asked for 15m0s, then ") {
		t.Errorf("what if: %v, %v", answer, err)
	}
	r.To(t, release, procedure.PhaseVerify)
	s := r.State(t, release)
	r.Do(t, release, "", proceduretest.Prescribed(s, proceduretest.Verified(s, releasev1.CheckResult_VERDICT_FAIL, false), proceduretest.Ask(15*time.Minute, releasev1.Remedy_ACTION_ROLL_BACK)))
	until := r.State(t, release).Question.Until.UTC().Format(time.RFC3339)
	if step := stepOf(t, explain(), "7"); !slices.Contains(step.GetWaitsFor(), "without one it goes back by itself at "+until) || !slices.Contains(step.GetWho(), "otto") {
		t.Errorf("asked: %v", step)
	}
}
