package document_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// -rewrite writes the golden files anew; commit them only where every line of the
// difference is meant.
var rewrite = flag.Bool("rewrite", false, "write testdata anew instead of comparing with it")

var twoWaves = proceduretest.Waves([]string{"eu1"}, []string{"us1", "us2"})

// to goes on as History.To does, with what real services put into their events.
func to(t *testing.T, h *proceduretest.History, phase procedure.Phase) {
	t.Helper()
	for h.State().Phase != phase {
		person, event := h.Good()
		h.Do(t, person, rich(h, event))
	}
}

// rich adds to an event what the machine of the tests leaves out and auditors see.
func rich(h *proceduretest.History, e *releasev1.Event) *releasev1.Event {
	now := timestamppb.New(h.Now)
	proof := func(digit byte, name string) *releasev1.EvidenceRef {
		return &releasev1.EvidenceRef{Digest: proceduretest.Digest(digit), MediaType: "text/plain; charset=utf-8", Size: 5954, Name: name}
	}
	results := func(all []*releasev1.TargetResult) {
		for _, r := range all {
			r.Started, r.Ended, r.Output = timestamppb.New(h.Now.Add(-700*time.Millisecond)), now, proof('1', "output of "+r.GetTarget())
			if r.GetMessage() == "" {
				r.Message = "carries " + r.GetDigest() + ", restarted"
			}
		}
	}
	verified := func(v *releasev1.Verification, reason string) {
		v.Started, v.Ended, v.Samples, v.Reason = timestamppb.New(h.Now.Add(-2*time.Minute)), now, proof('2', "samples"), reason
		for _, c := range v.GetResults() {
			c.Passed, c.Reason = c.GetSamples(), "12 of 12 samples passed"
			if c.GetVerdict() == releasev1.CheckResult_VERDICT_FAIL {
				c.Passed, c.Failed, c.Reason = c.GetSamples()-3, 3, "3 failures one after the other"
			}
		}
	}
	switch d := e.GetData().(type) {
	case *releasev1.Event_Requested:
		d.Requested.Evidence = []*releasev1.EvidenceRef{{
			Digest: proceduretest.Digest('e'), MediaType: "application/vnd.dsse.envelope.v1+json", Size: 588, Name: "evidence-0",
		}}
	case *releasev1.Event_GatesConfirmed:
		for _, v := range d.GatesConfirmed.GetVerdicts() {
			v.Rule = "a trusted statement of type https://in-toto.io/attestation/test-result/v0.1 about the artifact's digest, result = PASSED"
		}
	case *releasev1.Event_ChangePreviewed:
		for _, p := range d.ChangePreviewed.GetPreviews() {
			p.Summary, p.Detail = proceduretest.Digest('b')+" -> "+proceduretest.Digest('a')+", restart", proof('3', "preview of "+p.GetTarget())
		}
	case *releasev1.Event_Notified:
		for _, r := range d.Notified.GetReceipts() {
			r.Time, r.Response, r.Key = now, "HTTP 200 OK", h.Release+"/chat"
		}
	case *releasev1.Event_ExecutionFinished:
		results(d.ExecutionFinished.GetResults())
	case *releasev1.Event_ExecutionUnknown:
		results(d.ExecutionUnknown.GetResults())
	case *releasev1.Event_RolledBack:
		results(d.RolledBack.GetResults())
	case *releasev1.Event_VerificationPassed:
		verified(d.VerificationPassed.GetVerification(), "all results passed over the whole bake time")
	case *releasev1.Event_VerificationFailed:
		verified(d.VerificationFailed.GetVerification(), "health on eu1: 3 failures one after the other")
	}
	return e
}

// told are releases as an auditor meets them, each named by its file in testdata.
func told(t *testing.T) map[string]*proceduretest.History {
	t.Helper()
	all := map[string]*proceduretest.History{}
	tell := func(name string, changes ...func(*releasev1.Request)) *proceduretest.History {
		all[name] = proceduretest.New(proceduretest.Request(changes...))
		return all[name]
	}

	to(t, tell("succeeded", twoWaves), procedure.PhaseClosed)

	h := tell("rolled_back", twoWaves)
	to(t, h, procedure.PhaseVerify)
	h.Do(t, "", rich(h, proceduretest.Verified(h.State(), releasev1.CheckResult_VERDICT_FAIL, false)))
	to(t, h, procedure.PhaseClosed)

	to(t, tell("emergency", proceduretest.Emergency), procedure.PhaseClosed)

	to(t, tell("review_owed", proceduretest.Emergency), procedure.PhaseFollowUp)

	h = tell("refused_at_gates")
	to(t, h, procedure.PhaseGates)
	h.Do(t, "", proceduretest.Gates(h.State(), "code-review", "tests"))
	to(t, h, procedure.PhaseClosed)

	h = tell("rejected")
	h.To(t, procedure.PhaseHeld)
	to(t, h, procedure.PhaseApprove)
	h.Do(t, "anna", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))
	h.Do(t, "anna", proceduretest.WithdrawApproval())
	h.Do(t, "ben", proceduretest.Reject())
	to(t, h, procedure.PhaseClosed)

	h = tell("accepted", twoWaves)
	to(t, h, procedure.PhaseExecuting)
	h.Do(t, "", rich(h, proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN})))
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Acknowledge(releasev1.Cause_CAUSE_OUTCOME_UNKNOWN))
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	to(t, h, procedure.PhaseClosed)

	h = tell("followed_up")
	to(t, h, procedure.PhaseClosed)
	h.Do(t, "otto", proceduretest.FollowUp(h.State()))
	h.Do(t, "anna", proceduretest.FollowUp(h.State()))
	h.Do(t, "ada", proceduretest.FollowUpDone(1))

	h = tell("decided")
	to(t, h, procedure.PhaseExecuting)
	h.Do(t, "", rich(h, proceduretest.Executed(h.State(), map[string]releasev1.TargetResult_Status{"eu1": releasev1.TargetResult_STATUS_UNKNOWN})))
	h.Do(t, "", proceduretest.Escalate(h.State(), h.Now))
	h.Do(t, "eve", proceduretest.Intervene(releasev1.Intervened_ACTION_ACCEPT))
	to(t, h, procedure.PhaseClosed)

	to(t, tell("waiting_for_approval"), procedure.PhaseApprove)

	h = tell("known")
	to(t, h, procedure.PhaseNotify)
	waiting := proceduretest.NotifyWaiting(h.State(), h.Now.Add(30*time.Minute), true, "ada", "finn")
	waiting.GetNotified().Recipients = []*releasev1.Recipient{
		{Person: "ada", State: releasev1.Recipient_STATE_DELIVERED, Channels: []string{"chat", "mail"}},
		{Person: "finn", State: releasev1.Recipient_STATE_SENT, Channels: []string{"mail"}},
	}
	h.Do(t, "", rich(h, waiting))
	h.Do(t, "ada", proceduretest.Know())

	h = tell("told_later")
	to(t, h, procedure.PhaseNotify)
	quiet := proceduretest.NotifyDeferred(h.State(), "mail", h.Now.Add(5*time.Minute))
	quiet.GetNotified().Audience = []*releasev1.Party{{Audience: "owners", Reason: "owns shop", People: []string{"ada", "finn"}}}
	quiet.GetNotified().Recipients = []*releasev1.Recipient{
		{Person: "ada", State: releasev1.Recipient_STATE_DELIVERED, Channels: []string{"chat"}},
		{Person: "finn", State: releasev1.Recipient_STATE_DEFERRED, Channels: []string{"mail"}},
	}
	h.Do(t, "", rich(h, quiet))
	h.Advance(5 * time.Minute)
	h.Do(t, "", procedure.DecideDeadline(h.State(), h.Now))
	later := proceduretest.Later(h.State())
	later.GetNotified().Receipts = []*releasev1.Receipt{{
		Channel: "mail", Key: "digest/1767603900/1/mail", Delivered: true, Attempts: 1, Response: "250", Time: timestamppb.New(h.Now), BodyDigest: proceduretest.Digest('4'),
	}}
	later.GetNotified().Recipients = []*releasev1.Recipient{{Person: "finn", State: releasev1.Recipient_STATE_DELIVERED, Channels: []string{"mail"}}}
	h.Do(t, "", later)
	to(t, h, procedure.PhaseRecord)
	h.Do(t, "", proceduretest.Recorded(h.State()))
	h.Do(t, "", proceduretest.NotifyDeferred(h.State(), "mail", h.Now.Add(5*time.Minute)))
	return all
}

func TestTheDocumentReadsAsInTestdata(t *testing.T) {
	for name, h := range told(t) {
		t.Run(name, func(t *testing.T) {
			got := document.Build(h.Release, messages(h)).Given("7").Markdown()
			file := filepath.Join("testdata", name+".md")
			if *rewrite {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-rewrite takes it over):\n%s", file, diff)
			}
		})
	}
}
