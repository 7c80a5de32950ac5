package proceduretest

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Requested is the first event of the request's release, which may start within
// three days.
func Requested(r *releasev1.Request, at time.Time) *releasev1.Event {
	asked := clone(r)
	asked.Evidence = nil
	return &releasev1.Event{Data: &releasev1.Event_Requested{Requested: &releasev1.Requested{
		Request: asked, RequestDigest: procedure.RequestDigest(r), RequestSequence: 1,
		StartBy: timestamppb.New(at.Add(72 * time.Hour)), Timeouts: Timeouts(), ReasonsDemanded: true, ClosingDemanded: true,
	}}}
}

// Gates ends step 1 with the named gates failed and the others passed. In an
// emergency the change record may be bypassed. The evidence of the review names
// an author whom the request conceals.
func Gates(s procedure.State, failed ...string) *releasev1.Event {
	var verdicts []*releasev1.GateVerdict
	for _, gate := range []string{"change-record", "code-review", "tests"} {
		v := &releasev1.GateVerdict{
			Gate: gate, Status: releasev1.GateVerdict_STATUS_PASSED, Rule: gate + ".signed", Reason: "signed by ci",
			Evidence: []string{Digest('e')}, SignedBy: "ci-2026",
		}
		if gate == "code-review" {
			v.Authors = []string{"ada", "alan"}
		}
		for _, f := range failed {
			if f == gate {
				v.Status, v.Reason, v.Evidence, v.SignedBy = releasev1.GateVerdict_STATUS_FAILED, "no evidence", nil, ""
			}
		}
		verdicts = append(verdicts, v)
	}
	return procedure.DecideGates(s, verdicts, func(gate string) bool { return gate == "change-record" })
}

// Evidence is a piece that comes after the request.
func Evidence(digit byte) *releasev1.Event {
	return &releasev1.Event{Data: &releasev1.Event_EvidenceAdded{EvidenceAdded: &releasev1.EvidenceAdded{
		Evidence: []*releasev1.EvidenceRef{{Digest: Digest(digit), MediaType: "application/json", Size: 512, Name: "late"}}, RequestSequence: 2,
	}}}
}

// Waived ends step 1 with a gate that its owner lets through until then, and the others
// passed.
func Waived(s procedure.State, gate, owner string, until time.Time) *releasev1.Event {
	e := Gates(s)
	for _, v := range e.GetGatesConfirmed().GetVerdicts() {
		if v.GetGate() == gate {
			v.Status, v.Reason = releasev1.GateVerdict_STATUS_WAIVED, "waived by "+owner
			v.Waivers = []*releasev1.Waiver{{
				Artifact: s.Request.GetArtifacts()[0].GetName(), Owner: owner, Reason: "the suite is being moved", Expires: timestamppb.New(until),
				Evidence: Digest('e'), SignedBy: "risk-desk", Environment: s.Request.GetEnvironment(),
			}}
		}
	}
	return e
}

// Scope ends step 2: well, or refused for every given rule.
func Scope(s procedure.State, refused ...string) *releasev1.Event {
	var artifacts []*releasev1.PinnedArtifact
	for _, a := range s.Request.GetArtifacts() {
		artifacts = append(artifacts, &releasev1.PinnedArtifact{
			Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: a.GetDigest(), Size: 4096, MediaType: "application/gzip",
		})
	}
	var targets []*releasev1.ScopedTarget
	for wave, w := range s.Request.GetPlan().GetWaves() {
		for _, t := range w.GetTargets() {
			targets = append(targets, &releasev1.ScopedTarget{
				Target: t, Wave: uint32(wave), Driver: "host", Relation: releasev1.ScopedTarget_RELATION_UPGRADE,
				State: &releasev1.TargetState{Generation: 3, Deployed: &releasev1.Deployment{
					Release: "shop-bbbbbbbbbbbbbbbb", Version: "1.4.1", Digest: Digest('b'), Service: s.Request.GetService(),
					Time: timestamppb.New(Start.Add(-240 * time.Hour)),
				}},
			})
		}
	}
	return procedure.DecideScope(artifacts, targets, Blocking(refused...))
}

// Blocking returns one blocking finding for every rule.
func Blocking(rules ...string) []*releasev1.Finding {
	var all []*releasev1.Finding
	for _, r := range rules {
		all = append(all, &releasev1.Finding{Rule: r, Severity: releasev1.Finding_SEVERITY_BLOCKING, Message: "not in order"})
	}
	return all
}

// Preview ends the first half of step 3: well, with every target ready to go back
// but those named, or refused for every given rule.
func Preview(s procedure.State, class releasev1.DriverClass, unready, refused []string) *releasev1.Event {
	var previews []*releasev1.TargetPreview
	for _, t := range procedure.Targets(s.Request) {
		p := &releasev1.TargetPreview{
			Target: t, Summary: "replace 1.4.1 by " + s.Request.GetVersion(), RollbackDigest: Digest('b'), RollbackReady: true,
			RollbackReason: "1.4.1 is still there", Class: class,
		}
		for _, u := range unready {
			if u == t {
				p.RollbackDigest, p.RollbackReady, p.RollbackReason = "", false, "nothing was there before"
			}
		}
		previews = append(previews, p)
	}
	return procedure.DecidePreview(previews, Blocking(refused...))
}

// Risk ends the second half of step 3 at that time: approvals are needed of the
// quorum within a day. Facts can be changed before they are decided on.
func Risk(s procedure.State, at time.Time, changes ...func(*procedure.RiskFacts)) *releasev1.Event {
	f := procedure.RiskFacts{
		Findings:       []*releasev1.Finding{{Rule: "freeze", Severity: releasev1.Finding_SEVERITY_OK, Message: "no freeze"}},
		Quorum:         Quorum(),
		ApproveBy:      at.Add(24 * time.Hour),
		CalendarDigest: Digest('c'),
	}
	if s.Emergency() {
		f.Quorum, f.ApproveBy, f.Bypassed = EmergencyQuorum(), at.Add(time.Hour), []string{"freeze"}
	}
	for _, change := range changes {
		change(&f)
	}
	return procedure.DecideRisk(s, f)
}

// Hold is one reason to wait until then. Of a freeze and a planned start it is known that
// they end then; of anything else, that it is looked at again.
func Hold(rule string, until time.Time) *releasev1.Held {
	reason := &releasev1.HoldReason{Rule: rule, Subject: rule + "-1", SetBy: "anna", Message: "wait"}
	if rule == "freeze" || rule == "not_before" || rule == procedure.HoldEvidenceMissing {
		reason.Until = timestamppb.New(until)
	}
	return &releasev1.Held{Reasons: []*releasev1.HoldReason{reason}, Until: timestamppb.New(until)}
}
