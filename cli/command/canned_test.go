package command

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const waiting = "shop-k7q2m3xw5d8ta4bc"

var (
	changeDigest   = "sha256:" + strings.Repeat("c", 64)
	artifactDigest = "sha256:" + strings.Repeat("a", 64)
)

// at is a minute of the day on which everything here happens.
func at(minute int) *timestamppb.Timestamp {
	return timestamppb.New(time.Date(2026, 11, 2, 10, minute, 0, 0, time.UTC))
}

func cannedRequest() *releasev1.Request {
	return &releasev1.Request{
		IdempotencyKey: "build-42", Service: "shop", Environment: "production", Trigger: releasev1.Trigger_TRIGGER_PLANNED,
		Version: "1.4.2", ChangeRecord: &releasev1.ChangeRecord{System: "jira", Id: "CHG-1042"}, Owner: "olu", Requester: "ci-shop",
		Authors: []string{"ada"},
		Plan: &releasev1.Plan{
			Description: "One machine first.\nThen \x1b[2Jthe other.",
			Waves:       []*releasev1.Wave{{Targets: []string{"shop-a"}}, {Targets: []string{"shop-b"}}},
		},
		RollbackPlan: &releasev1.RollbackPlan{Strategy: releasev1.RollbackPlan_STRATEGY_PREVIOUS_VERSION, Description: "The old version is placed again."},
		Validation: &releasev1.Validation{
			Checks: []*releasev1.Check{{Name: "home", Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{Path: "/"}}}},
			Bake:   durationpb.New(time.Minute), Interval: durationpb.New(time.Second),
		},
		Risk: &releasev1.Risk{Data: releasev1.Risk_DATA_UNCHANGED, Areas: []string{"checkout"}, Description: "little"},
	}
}

func pendingRelease() *approvalv1.Pending {
	return &approvalv1.Pending{
		Release: waiting, ChangeDigest: changeDigest, Request: cannedRequest(),
		Artifacts: artifacts(), Targets: scoped(), Previews: previews(), Gates: verdicts(), Findings: findings(),
		Quorum:  []*releasev1.QuorumRule{{Group: "sre", Count: 2}, {Group: "qa", Count: 1}},
		Missing: []*releasev1.QuorumRule{{Group: "sre", Count: 1}, {Group: "qa", Count: 1}},
		Approvals: []*approvalv1.GivenApproval{
			{Person: "mia", Groups: []string{"sre"}, Time: at(8), Expires: at(58), Comment: "looks good\u202e"},
		},
		Checks:    cannedRequest().GetValidation().GetChecks(),
		ApproveBy: at(50), Requested: at(0), MayApprove: true, ShownDigest: "sha256:" + strings.Repeat("d", 64),
	}
}

func artifacts() []*releasev1.PinnedArtifact {
	return []*releasev1.PinnedArtifact{{
		Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_FILE, Location: "shop/1.4.2.tar.gz", Digest: artifactDigest, Size: 4096,
	}}
}

func scoped() []*releasev1.ScopedTarget {
	live := &releasev1.TargetState{Deployed: &releasev1.Deployment{Release: "shop-old", Version: "1.4.1"}}
	return []*releasev1.ScopedTarget{
		{Target: "shop-a", Driver: "host", State: live, Relation: releasev1.ScopedTarget_RELATION_UPGRADE},
		{Target: "shop-b", Wave: 1, Driver: "host", Relation: releasev1.ScopedTarget_RELATION_FIRST},
	}
}

func previews() []*releasev1.TargetPreview {
	return []*releasev1.TargetPreview{
		{
			Target: "shop-a", Summary: "- version 1.4.1\n+ version 1.4.2\n+ file \x1b]0;x\x07evil", RollbackReady: true, RollbackReason: "1.4.1 is kept",
			Class:  releasev1.DriverClass_DRIVER_CLASS_FENCED,
			Detail: &releasev1.EvidenceRef{Digest: artifactDigest, MediaType: "text/plain", Size: 120},
		},
		{Target: "shop-b", Summary: "nothing was there", RollbackReason: "nothing to go back to", Class: releasev1.DriverClass_DRIVER_CLASS_FENCED},
	}
}

func verdicts() []*releasev1.GateVerdict {
	return []*releasev1.GateVerdict{
		{Gate: "tests", Status: releasev1.GateVerdict_STATUS_PASSED, Reason: "all 120 passed", SignedBy: "ci-key", Evidence: []string{artifactDigest}},
		{Gate: "scan", Status: releasev1.GateVerdict_STATUS_PASSED, Reason: "no findings\r\nforged line", SignedBy: "scan-key"},
	}
}

func findings() []*releasev1.Finding {
	return []*releasev1.Finding{{Rule: "version.rolled_back", Severity: releasev1.Finding_SEVERITY_WARNING, Subject: "shop-a", Message: "1.4.2 was rolled back before"}}
}

func steps(statuses ...recorderv1.Step_Status) []*recorderv1.Step {
	names := []string{"gates", "scope", "risk", "authorize", "notify", "execute", "verify", "remediate", "record"}
	numbers := []string{"1", "2", "3", "A", "4", "5", "6", "7", "8"}
	var out []*recorderv1.Step
	for i, n := range names {
		s := &recorderv1.Step{Number: numbers[i], Name: n, Status: recorderv1.Step_STATUS_PENDING}
		if i < len(statuses) {
			s.Status = statuses[i]
			s.Started = at(i)
			if s.GetStatus() != recorderv1.Step_STATUS_WAITING {
				s.Ended = at(i + 1)
			}
		}
		out = append(out, s)
	}
	return out
}

func allReleases() []*recorderv1.Release {
	done := recorderv1.Step_STATUS_DONE
	first := &recorderv1.Release{
		Release: waiting, Service: "shop", Environment: "production", Version: "1.4.2", Trigger: releasev1.Trigger_TRIGGER_PLANNED,
		Owner: "olu", Requester: "ci-shop", Phase: "approve", Requested: at(0), Updated: at(8), Deadline: at(50),
		Steps: steps(done, done, done, recorderv1.Step_STATUS_WAITING), Actions: []string{"approve", "reject", "withdraw"},
		Missing: []*releasev1.QuorumRule{{Group: "sre", Count: 1}, {Group: "qa", Count: 1}}, ChangeDigest: changeDigest,
		ProcedureVersion: "3", ProcedureDigest: "sha256:" + strings.Repeat("b", 64), Artifacts: artifacts(), Targets: []string{"shop-a", "shop-b"},
		Summary: "It waits for approvals until 2026-11-02T10:50:00Z.", LastSequence: 20, RejectedEvents: 1,
	}
	second := &recorderv1.Release{
		Release: "shop-rolled", Service: "shop", Environment: "production", Version: "1.4.1\x1b[31m", Trigger: releasev1.Trigger_TRIGGER_EMERGENCY,
		Owner: "olu", Requester: "mia", Phase: "follow_up", Outcome: releasev1.Outcome_OUTCOME_ROLLED_BACK, Requested: at(1), Updated: at(30), Ended: at(29),
		Steps:   steps(done, recorderv1.Step_STATUS_BYPASSED, done, done, done, done, recorderv1.Step_STATUS_FAILED, done, done),
		Actions: []string{"acknowledge", "review"}, Targets: []string{"shop-a"}, ReviewDue: at(55), LastSequence: 33,
		Summary: "It was rolled back: home failed. A retrospective review is owed.",
	}
	third := &recorderv1.Release{
		Release: "shop-old", Service: "shop", Environment: "staging", Version: "1.4.0", Trigger: releasev1.Trigger_TRIGGER_PLANNED,
		Owner: "olu", Requester: "ci-shop", Phase: "closed", Outcome: releasev1.Outcome_OUTCOME_SUCCEEDED, Requested: at(2), Updated: at(9),
		Closed: true, Summary: "It succeeded.",
	}
	return []*recorderv1.Release{first, second, third}
}

func eventsOf(id string) []*recorderv1.RecordedEvent {
	var out []*recorderv1.RecordedEvent
	add := func(minute int, actor string, e *releasev1.Event) {
		e.Actor = &releasev1.Actor{Id: actor, Groups: []string{"sre"}}
		out = append(out, &recorderv1.RecordedEvent{Sequence: uint64(len(out) + 1), Stored: at(minute), Event: e})
	}
	request := cannedRequest()
	if id == "shop-rolled" {
		request.Emergency = &releasev1.Emergency{Reason: "checkout is down", Incident: "INC-7"}
	}
	add(0, "ci-shop", &releasev1.Event{Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{Request: request}}})
	add(1, "approval", &releasev1.Event{Data: &releasev1.Event_GatesConfirmed{GatesConfirmed: &releasev1.GatesConfirmed{Verdicts: verdicts()}}})
	add(2, "validator", &releasev1.Event{Data: &releasev1.Event_ScopeValidated{ScopeValidated: &releasev1.ScopeValidated{Targets: scoped(), Findings: findings()}}})
	add(3, "executor", &releasev1.Event{Data: &releasev1.Event_ChangePreviewed{ChangePreviewed: &releasev1.ChangePreviewed{Previews: previews()}}})
	add(4, "approval", &releasev1.Event{Data: &releasev1.Event_RiskCleared{RiskCleared: &releasev1.RiskCleared{Quorum: []*releasev1.QuorumRule{{Group: "sre", Count: 2}}}}})
	add(7, "ada", &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{Expires: at(57)}}})
	out[len(out)-1].Rejected = "ada is an author of the change"
	add(7, "bob", &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{Expires: at(57)}}})
	add(8, "mia", &releasev1.Event{Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{Expires: at(58), Comment: "looks good\u202e"}}})
	add(9, "bob", &releasev1.Event{Data: &releasev1.Event_ApprovalWithdrawn{ApprovalWithdrawn: &releasev1.ApprovalWithdrawn{Reason: "not sure"}}})
	if id != "shop-rolled" {
		return out
	}
	add(10, "approval", &releasev1.Event{Data: &releasev1.Event_Authorized{Authorized: &releasev1.Authorized{Emergency: true, Bypassed: []string{"gate scan"}}}})
	add(20, "executor", &releasev1.Event{Data: &releasev1.Event_ExecutionFinished{ExecutionFinished: &releasev1.ExecutionFinished{
		Results: []*releasev1.TargetResult{{Target: "shop-a", Status: releasev1.TargetResult_STATUS_DONE, Digest: artifactDigest, Message: "placed"}},
	}}})
	add(25, "validator", &releasev1.Event{Data: &releasev1.Event_VerificationFailed{VerificationFailed: &releasev1.VerificationFailed{Verification: &releasev1.Verification{
		Results: []*releasev1.CheckResult{{Check: "home", Target: "shop-a", Verdict: releasev1.CheckResult_VERDICT_FAIL, Samples: 3, Failed: 3, Reason: "status 500"}},
	}}}})
	add(28, "executor", &releasev1.Event{Data: &releasev1.Event_RolledBack{RolledBack: &releasev1.RolledBack{
		Results: []*releasev1.TargetResult{{Target: "shop-a", Status: releasev1.TargetResult_STATUS_DONE, Message: "1.4.0 again"}},
	}}})
	escalated := func(cause releasev1.Cause, rung uint32) *releasev1.Event {
		return &releasev1.Event{Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{
			Cause: cause, Rung: rung, To: []string{"sre"}, AcknowledgeBy: at(40), Incident: "INC-8",
		}}}
	}
	add(28, "approval", escalated(releasev1.Cause_CAUSE_EMERGENCY_BYPASS, 1))
	add(29, "mia", &releasev1.Event{Data: &releasev1.Event_Acknowledged{Acknowledged: &releasev1.Acknowledged{Cause: releasev1.Cause_CAUSE_EMERGENCY_BYPASS}}})
	add(30, "approval", escalated(releasev1.Cause_CAUSE_VALIDATION_FAILED, 1))
	return out
}

func refusedRequest(sequence uint64) *recorderv1.Refusal {
	return &recorderv1.Refusal{Sequence: sequence, Time: at(int(sequence % 60)), Refused: &releasev1.RequestRefused{
		Subject: "request.production.shop",
		Answer: &releasev1.Answer{Outcome: releasev1.Answer_OUTCOME_REFUSED, IdempotencyKey: "build-41", Violations: []*releasev1.Violation{
			{Field: "artifacts[0].digest", Rule: "digest.sha256", Message: "digest required"},
			{Field: "", Rule: "signature.missing", Message: "signed requests only\x1b[0m"},
		}},
	}}
}
