package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// last is the sequence of the newest event on the stream.
func (r *rig) last(t *testing.T) uint64 {
	t.Helper()
	stream, err := r.JetStream().Stream(t.Context(), eventstore.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}

func stepOf(t *testing.T, o *approvalv1.Outlook, number string) *approvalv1.OutlookStep {
	t.Helper()
	for _, s := range o.GetSteps() {
		if s.GetNumber() == number {
			return s
		}
	}
	t.Fatalf("no step %s in %v", number, o)
	return nil
}

// TestWhatStandsBetweenAReleaseAndProduction follows a release and asks at each turn.
func TestWhatStandsBetweenAReleaseAndProduction(t *testing.T) {
	now := time.Now()
	r := newRig(t, provedElsewhere, func(d *policyv1.Procedure) { d.Freezes = []*policyv1.Freeze{frozen("audit", now.Add(time.Hour))} })
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseRisk)
	if _, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, now); err != nil {
		t.Fatal(err)
	}
	ask := func() *approvalv1.ExplainResponse {
		t.Helper()
		answer, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: release})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	held := ask()
	step := stepOf(t, held.GetOutlook(), "3")
	if held.GetPhase() != "held" || step.GetStanding() != approvalv1.OutlookStep_STANDING_NOW || !slices.Equal(step.GetWho(), []string{"eve", "gina"}) ||
		!strings.Contains(strings.Join(step.GetWaitsFor(), " "), "freeze audit, set by anna: because") ||
		!step.GetUntil().AsTime().Equal(now.Add(time.Hour)) || !held.GetOutlook().GetEarliestStart().AsTime().Equal(now.Add(time.Hour)) || held.GetOutlook().GetZoneData() == "" {
		t.Errorf("held: %v", held)
	}
	if _, err := desk.OverrideFreeze(as(t, "gina"), &approvalv1.OverrideFreezeRequest{Release: release, Freeze: "audit", Reason: "it burns", Ticket: "INC-7"}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, now); err != nil {
		t.Fatal(err)
	}
	r.Do(t, release, "ben", proceduretest.Approval(r.State(t, release), now.Add(time.Hour)))
	waits := ask()
	// Rita asked for it and Otto owns it: neither of them may.
	if step := stepOf(t, waits.GetOutlook(), "A"); step.GetStanding() != approvalv1.OutlookStep_STANDING_NOW || !slices.Equal(step.GetWho(), []string{"anna", "cleo", "dan"}) ||
		!slices.Equal(step.GetWaitsFor(), []string{"1 more approval(s) by release-managers"}) || step.GetUntil() == nil || len(waits.GetOutlook().GetHolds()) > 0 {
		t.Errorf("waiting: %v", waits)
	}
	if stepOf(t, waits.GetOutlook(), "1").GetStanding() != approvalv1.OutlookStep_STANDING_DONE || stepOf(t, waits.GetOutlook(), "5").GetStanding() != approvalv1.OutlookStep_STANDING_AHEAD {
		t.Errorf("before and behind: %v", waits)
	}
	r.Do(t, release, "otto", proceduretest.Withdraw())
	if over := ask(); stepOf(t, over.GetOutlook(), "5").GetStanding() != approvalv1.OutlookStep_STANDING_NEVER || over.GetOutlook().GetEarliestStart() != nil {
		t.Errorf("over: %v", over)
	}
	_, err := desk.Explain(as(t, "finn"), &approvalv1.ExplainRequest{Release: "shop-nothing"})
	want(t, "no release", err, codes.NotFound, "RELEASE_NOT_FOUND")
}

// TestWhatIfItWereSentNow goes through the procedure and leaves the stream as it was.
func TestWhatIfItWereSentNow(t *testing.T) {
	now := time.Now()
	r := newRig(t, func(d *policyv1.Procedure) { d.Freezes = []*policyv1.Freeze{frozen("audit", now.Add(time.Hour))} })
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-one", Digest: proceduretest.Digest('b')})
	desk, before := r.dial(t), r.last(t)
	ask := func(changes ...func(*releasev1.Request)) *approvalv1.WhatIfResponse {
		t.Helper()
		request, err := proto.Marshal(proceduretest.Request(changes...))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: request})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	answer := ask(proceduretest.Irreversible)
	if o := answer.GetOutlook(); len(answer.GetViolations()) > 0 ||
		stepOf(t, o, "1").GetStanding() != approvalv1.OutlookStep_STANDING_REFUSED || // there is no proof of the tests
		stepOf(t, o, "2").GetStanding() != approvalv1.OutlookStep_STANDING_UNKNOWN ||
		stepOf(t, o, "3").GetStanding() != approvalv1.OutlookStep_STANDING_REFUSED || // and no way back
		!o.GetEarliestStart().AsTime().Equal(now.Add(time.Hour)) {
		t.Errorf("%v", answer)
	}
	answer = ask()
	if o := answer.GetOutlook(); stepOf(t, o, "3").GetStanding() != approvalv1.OutlookStep_STANDING_AHEAD || !slices.Equal(stepOf(t, o, "3").GetWho(), []string{"eve", "gina"}) ||
		!slices.Equal(subjects(answer.GetHolds()), []string{"audit"}) || len(answer.GetQuorum()) != 2 ||
		!slices.Equal(stepOf(t, o, "A").GetWho(), []string{"anna", "cleo", "dan", "alan", "ben"}) {
		t.Errorf("%v", answer)
	}
	answer = ask(func(q *releasev1.Request) { q.Owner, q.Version = "nobody", "latest" })
	if len(answer.GetViolations()) != 2 || stepOf(t, answer.GetOutlook(), "0").GetStanding() != approvalv1.OutlookStep_STANDING_REFUSED {
		t.Errorf("%v", answer)
	}
	_, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: []byte("{}")})
	want(t, "no request", err, codes.InvalidArgument, "INVALID_FIELD")
	if after := r.last(t); after != before {
		t.Errorf("the stream has %d events, and had %d", after, before)
	}
}

// TestAnotherQuorumChangesThoseReleasesThatItConcerns raises one from two to three people.
func TestAnotherQuorumChangesThoseReleasesThatItConcerns(t *testing.T) {
	r := newRig(t)
	desk := r.dial(t)
	done := r.Reach(t, procedure.PhaseRecord, proceduretest.Key("done"))
	waits := r.Reach(t, procedure.PhaseApprove, proceduretest.Key("waits"))
	three := r.Reach(t, procedure.PhaseApprove, proceduretest.Key("three"))
	for _, p := range []string{"anna", "ben", "dan"} {
		r.Do(t, three, p, proceduretest.Approval(r.State(t, three), time.Now().Add(time.Hour)))
	}
	r.To(t, three, procedure.PhaseNotify)
	refused := r.Request(t, proceduretest.Key("refused"))
	r.Do(t, refused, "", proceduretest.Gates(r.State(t, refused), "tests"))
	urgent := r.Reach(t, procedure.PhaseRecord, proceduretest.Key("urgent"), proceduretest.Emergency)
	all := []string{done, waits, three, refused, urgent}
	before := r.last(t)
	compare := func(document []byte) *approvalv1.CompareProcedureResponse {
		t.Helper()
		answer, err := desk.CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: document, Releases: all})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	document := func(changes ...func(*policyv1.Procedure)) []byte {
		t.Helper()
		data, err := protojson.Marshal(approvaltest.Document(changes...))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if same := compare(document()); len(same.GetDifferences()) > 0 {
		t.Errorf("the same document makes a difference: %v", same)
	}
	answer := compare(document(func(d *policyv1.Procedure) { d.Environments[0].Approvals[0].Count = 2 }))
	got := map[string]string{}
	for _, d := range answer.GetDifferences() {
		for _, a := range d.GetAnswers() {
			got[d.GetRelease()] += a.GetStep() + ": " + a.GetBefore() + " -> " + a.GetAfter() + "; "
		}
	}
	const asked = "3: approvals: 1 of release-managers, 1 of security -> approvals: 2 of release-managers, 1 of security; "
	expected := map[string]string{done: asked + "A: authorized -> not authorized: missing 1 of release-managers; ", waits: asked, three: asked}
	for _, release := range all {
		if got[release] != expected[release] {
			t.Errorf("%s: %q, want %q", release, got[release], expected[release])
		}
	}
	// A gate that only some of them would have passed is told, too.
	stricter := compare(document(func(d *policyv1.Procedure) {
		d.Gates = append(d.Gates, &policyv1.Gate{Name: "licenses", Title: "Licenses", PredicateType: "https://shop.example/licenses"})
		d.Keys[0].Gates = append(d.Keys[0].GetGates(), "licenses")
	}))
	if len(stricter.GetDifferences()) != len(all) || stricter.GetDifferences()[0].GetAnswers()[0].GetStep() != "1" {
		t.Errorf("another gate: %v", stricter)
	}
	if after := r.last(t); after != before {
		t.Errorf("the stream has %d events, and had %d", after, before)
	}
	_, err := desk.CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: []byte("id: x"), Releases: all})
	want(t, "no document", err, codes.InvalidArgument, "INVALID_FIELD")
	_, err = desk.CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: document(), Releases: []string{"shop-nothing"}})
	want(t, "no release", err, codes.NotFound, "RELEASE_NOT_FOUND")
}
