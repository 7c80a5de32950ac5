package authorize_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/risk"
)

// demanding is a document whose only level demands that bake.
func demanding(bake time.Duration) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) {
		d.RiskScore = &policyv1.RiskScore{
			Weights: &policyv1.RiskWeights{Target: 10}, Levels: []*policyv1.RiskLevel{{From: 10, Bake: durationpb.New(bake)}},
		}
	}
}

// TestApproversSeeAndApproveWhatWasChosen (PD-3.4, D-1.6), and not what was asked for.
func TestApproversSeeAndApproveWhatWasChosen(t *testing.T) {
	r := newRig(t, demanding(30*time.Minute))
	desk := r.dial(t)
	release := r.Reach(t, procedure.PhaseRisk, func(q *releasev1.Request) { q.Validation.MayRaise = true })
	asked := procedure.ChangeDigest(r.State(t, release))
	if _, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), release, time.Now()); err != nil {
		t.Fatal(err)
	}
	shown := r.look(t, desk, "anna", release)
	if got := shown.GetRequest().GetValidation().GetBake().AsDuration(); got != 30*time.Minute || shown.GetChosen().GetBake().AsDuration() != got {
		t.Errorf("shown are a bake of %s, chosen %v", got, shown.GetChosen())
	}
	stale := seen(shown)
	stale.ChangeDigest = asked
	_, err := desk.Approve(as(t, "anna"), stale)
	want(t, "what was asked for", err, codes.Aborted, "STALE_CHANGE_DIGEST")
	if _, err := desk.Approve(as(t, "anna"), seen(shown)); err != nil {
		t.Errorf("what was shown: %v", err)
	}
}

// TestWhatIfSaysWhatWouldBeChosen, of a request that was not sent, and of a past release under
// another document.
func TestWhatIfSaysWhatWouldBeChosen(t *testing.T) {
	r := newRig(t, demanding(30*time.Minute))
	r.Carries(t, "eu1", &releasev1.Deployment{Release: "shop-one", Digest: proceduretest.Digest('b')})
	desk := r.dial(t)
	raise := func(q *releasev1.Request) { q.Validation.MayRaise = true }
	for bake, change := range map[string]func(*releasev1.Request){"30m0s": raise, "2m0s": func(*releasev1.Request) {}} {
		request, err := proto.Marshal(proceduretest.Request(change))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := desk.WhatIf(as(t, "finn"), &approvalv1.WhatIfRequest{Request: request})
		if err != nil || !slices.Equal(stepOf(t, answer.GetOutlook(), "6").GetWaitsFor(), []string{"each wave for " + bake}) {
			t.Errorf("it would be validated: %v, %v", answer, err)
		}
	}
	past := r.Reach(t, procedure.PhaseRisk, raise)
	if _, err := r.Act(t, risk.New(r.Procedures, r.Store, risk.Watch{}), past, time.Now()); err != nil {
		t.Fatal(err)
	}
	other, err := protojson.Marshal(approvaltest.Document(demanding(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := desk.CompareProcedure(as(t, "finn"), &approvalv1.CompareProcedureRequest{Document: other, Releases: []string{past}})
	if err != nil || len(answer.GetDifferences()) != 1 {
		t.Fatalf("%v, %v", answer, err)
	}
	if a := answer.GetDifferences()[0].GetAnswers()[0]; !strings.HasSuffix(a.GetBefore(), "chosen: a bake of 30m0s") || !strings.HasSuffix(a.GetAfter(), "chosen: a bake of 1h0m0s") {
		t.Errorf("%v", a)
	}
}
