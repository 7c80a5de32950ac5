package amend_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/amend"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// comparing demands that a proposal is compared with so many releases.
func comparing(last uint32) func(*policyv1.Procedure) {
	return func(d *policyv1.Procedure) { d.ChangeControl.CompareLast = last }
}

func twoManagers(d *policyv1.Procedure) { d.Environments[0].Approvals[0].Count = 2 }

// TestAProposalSaysWhatItWouldHaveChanged: of the newest releases, as many as the document in
// effect demands, by the service's own record; approvers see it, and only then may it take
// effect (N-18).
func TestAProposalSaysWhatItWouldHaveChanged(t *testing.T) {
	r := newRig(t, comparing(3))
	none, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "1.1", comparing(3)), DryRun: true})
	if total := none.GetAssessment().GetComparison().GetTotal(); err != nil || total.GetLast() != 3 || total.GetReleases() != 0 || total.GetDigest() == "" {
		t.Errorf("before there was a release: %v, %v", none, err)
	}
	r.Reach(t, procedure.PhaseRecord, proceduretest.Key("old")) // The fourth from the end.
	done := r.Reach(t, procedure.PhaseRecord, proceduretest.Key("done"))
	refused := r.Request(t, proceduretest.Key("refused"))
	r.Do(t, refused, "", proceduretest.Gates(r.State(t, refused), "tests"))
	waits := r.Reach(t, procedure.PhaseApprove, proceduretest.Key("waits"))

	document := version(t, "1.1", comparing(3), twoManagers)
	dry, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: document, DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	p := r.propose(t, "otto", document)
	seen, err := r.GetProposal(as(t, "ben"), &approvalv1.GetProposalRequest{Number: p.GetNumber()})
	if err != nil {
		t.Fatal(err)
	}
	c := seen.GetAssessment().GetComparison()
	if !proto.Equal(dry.GetAssessment().GetComparison(), c) || !proto.Equal(p.GetComparison(), c.GetTotal()) || !proto.Equal(seen.GetProposal().GetComparison(), c.GetTotal()) {
		t.Errorf("it is %v, %v, %v and %v", dry, c, p, seen.GetProposal())
	}
	want := &approvalv1.Comparison{
		Total:    &releasev1.ProcedureComparison{Last: 3, Releases: 3, Changed: 2, Digest: c.GetTotal().GetDigest()},
		Steps:    []*approvalv1.StepChange{{Step: "3", Releases: 2}, {Step: "A", Releases: 1}},
		Sequence: c.GetSequence(), Differences: c.GetDifferences(),
	}
	if !proto.Equal(c, want) || c.GetSequence() == 0 {
		t.Errorf("it is %v, want %v", c, want)
	}
	var named []string
	for _, d := range c.GetDifferences() {
		named = append(named, fmt.Sprintf("%s %d", d.GetRelease(), len(d.GetAnswers())))
	}
	if !slices.Equal(named, []string{waits + " 1", done + " 2"}) {
		t.Errorf("named are %v", named)
	}
	// The whole of it is kept, under the digest that everybody signed for.
	kept, err := r.Evidence.Get(t.Context(), p.GetComparison().GetDigest())
	if err != nil {
		t.Fatal(err)
	}
	whole := &approvalv1.Comparison{}
	if err := protojson.Unmarshal(kept, whole); err != nil || len(whole.GetDifferences()) != 2 || whole.GetTotal().GetChanged() != 2 {
		t.Errorf("kept is %s: %v", kept, err)
	}
	for _, who := range []string{"ben", "cleo"} {
		if _, err := r.approve(t, who, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.activate(t, "ben", p); err != nil || r.inEffect(t).Version != "1.1" {
		t.Errorf("in effect is %s: %v", r.inEffect(t).Version, err)
	}
}

// TestWhatCannotBeComparedIsPutIntoEffectByNoApprovals: the document is not there any more
// under which a release ran, so nobody knows what another one changes. An administrator can,
// on record; and so can everybody once the evidence is back.
func TestWhatCannotBeComparedIsPutIntoEffectByNoApprovals(t *testing.T) {
	r := newRig(t)
	first := r.Digest
	release := r.Reach(t, procedure.PhaseApprove)
	r.approved(t, "otto", version(t, "1.1", comparing(5)), "ben", "cleo")
	whole := r.Server
	kept := lost{r.Evidence, first}
	c := r.config()
	c.Evidence, c.Procedures = kept, policy.NewSource(kept.Get)
	r.Server = amend.NewServer(c)

	document := version(t, "1.2", comparing(5))
	answer, err := r.Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: document, Reason: "because"})
	if err != nil {
		t.Fatal(err)
	}
	p, found := answer.GetProposal(), answer.GetAssessment().GetComparison()
	if total := p.GetComparison(); total.GetLast() != 5 || total.GetReleases() != 1 || total.GetUnknown() != 1 || len(found.GetUnknown()) != 1 ||
		found.GetUnknown()[0].GetRelease() != release || found.GetUnknown()[0].GetReason() != "what it was judged by is not there any more" {
		t.Errorf("it says %v", answer)
	}
	if w := answer.GetWarnings(); !strings.HasPrefix(w[len(w)-1], "1 of 1 past releases cannot be compared: ") {
		t.Errorf("warned is of %q", w)
	}
	for _, who := range []string{"ben", "cleo"} {
		if _, err := r.approve(t, who, p); err != nil {
			t.Fatal(err)
		}
	}
	_, err = r.activate(t, "ben", p)
	refused(t, "not compared", err, codes.FailedPrecondition, "NOT_COMPARED")

	// That it would do now is another proposal.
	r.Server = whole
	_, err = r.activate(t, "ben", p)
	refused(t, "not compared then", err, codes.FailedPrecondition, "NOT_COMPARED")
	if _, err := r.WithdrawProposal(as(t, "otto"), &approvalv1.WithdrawProposalRequest{Number: p.GetNumber(), Reason: "it is there again"}); err != nil {
		t.Fatal(err)
	}
	r.approved(t, "otto", document, "ben", "cleo")
	if got := r.inEffect(t).Version; got != "1.2" {
		t.Errorf("in effect is %s", got)
	}
	r.Server = amend.NewServer(c)
	r.force(t, "dave", version(t, "1.3", comparing(5)))
	if got := r.inEffect(t).Version; got != "1.3" {
		t.Errorf("in effect is %s", got)
	}
}

// TestAProposalThatWasNotComparedIsNone: one that another program wrote, which knows of no
// comparison, or one that compares with fewer.
func TestAProposalThatWasNotComparedIsNone(t *testing.T) {
	r := newRig(t, comparing(5))
	for i, c := range []*releasev1.ProcedureComparison{nil, {Last: 4, Digest: proceduretest.Digest('c')}} {
		document := version(t, fmt.Sprintf("1.%d", i+1), comparing(5))
		if _, err := r.Evidence.Put(t.Context(), "application/yaml", "document", document); err != nil {
			t.Fatal(err)
		}
		active := r.inEffect(t)
		otto := &releasev1.Actor{Id: "otto", Kind: releasev1.Actor_KIND_HUMAN, Method: "token", Groups: []string{"developers"}}
		event, err := procedure.DecideProposed(active.Document, otto, &releasev1.ProcedureProposal{
			Version: fmt.Sprintf("1.%d", i+1), Digest: policy.Digest(document), Reason: "because", Comparison: c,
			Expires: timestamppb.New(time.Now().Add(time.Hour)), Quorum: &releasev1.QuorumRule{Group: "security", Count: 2},
		}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Store.Append(t.Context(), active.Draft(event)); err != nil {
			t.Fatal(err)
		}
		p := event.GetProcedureProposed().GetProposal()
		for _, who := range []string{"ben", "cleo"} {
			if _, err := r.approve(t, who, p); err != nil {
				t.Fatal(err)
			}
		}
		_, err = r.activate(t, "ben", p)
		refused(t, "not compared", err, codes.FailedPrecondition, "NOT_COMPARED")
	}
}

// silent is a record that does not answer when it is asked for releases.
type silent struct{ *eventstore.Store }

func (silent) NewestReleases(context.Context, int) ([]string, uint64, error) {
	return nil, 0, fmt.Errorf("nats: 10.0.0.7: %w", eventstore.ErrUnavailable)
}

// TestWhereTheRecordDoesNotAnswerNothingIsProposed.
func TestWhereTheRecordDoesNotAnswerNothingIsProposed(t *testing.T) {
	r := newRig(t, comparing(5))
	c := r.config()
	c.Store = silent{r.Store}
	_, err := amend.NewServer(c).Propose(as(t, "otto"), &approvalv1.ProposeRequest{Document: version(t, "1.1", comparing(5)), Reason: "because"})
	refused(t, "silence", err, codes.Unavailable, "BUS_UNAVAILABLE")
	if n := len(r.inEffect(t).Document.Standing.GetProposals()); n != 0 {
		t.Errorf("%d proposals", n)
	}
	ended, cancel := context.WithCancel(as(t, "otto"))
	cancel()
	_, err = r.Propose(ended, &approvalv1.ProposeRequest{Document: version(t, "1.1", comparing(5)), Reason: "because"})
	refused(t, "called off", err, codes.Canceled, "CANCELED")
}

// TestADocumentThatAsksForMoreReleasesThanCanBeReadIsRefused.
func TestADocumentThatAsksForMoreReleasesThanCanBeReadIsRefused(t *testing.T) {
	d := approvaltest.Document(governed, comparing(1001))
	data, err := protojson.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Parse(data, "document"); err == nil {
		t.Error("1001 releases are taken")
	}
}
