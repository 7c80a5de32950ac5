package intake

import (
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A small request can be the cause of large events: what is recorded of targets,
// and of checks on targets, grows with their number and with their product. An event
// that does not fit could never be stored, and the release would be stuck where it
// has locks, or an effect that nobody knows of. So every event of later steps whose
// size depends on the request is made here once, as large as it can become, before
// there is a release at all.

// MaxRecorded is how large the content of an event may become, in bytes; the rest is
// for what every event carries (who, when, after which).
const MaxRecorded = envelope.MaxBody - 1<<10

// The longest texts that the steps put into events, in bytes. A test of the whole
// holds them against the steps themselves.
const (
	longLine    = 512     // of a driver, a target or a registry, cut by the steps
	longReasons = 4 << 10 // of several targets together, cut by the executor
	longVerdict = 2 << 10 // of a verification: the first result that decided, and notes
	longJudged  = 108     // of one check
	longCompare = 168     // of what its comparison with a baseline adds, cut by the validator
	longRunning = 224     // of what was found to run
	longFound   = 160     // of where something was found, cut by the executor
	longMedia   = 96
	longVersion = 160
	longDigest  = len("sha256:") + 64
	longName    = 40 // of services and drivers
	longRelease = longName + len("-") + 16
	longTag     = 128
	longTitle   = 384 // name, version and appVersion of a chart
	longPerson  = 128
	ruleRunning = "target.digest"
)

// Room returns what in a request would become an event that is too large. The request
// is in shape; what is unknown in it is said by others.
func Room(x *policy.Index, r *releasev1.Request) []*releasev1.Violation {
	var out []*releasev1.Violation
	say := func(field, rule, event string, size int, format string, args ...any) {
		if size > MaxRecorded {
			out = append(out, violation(field, rule, fmt.Sprintf("%s may make a %s of %d bytes, and one event holds %d",
				fmt.Sprintf(format, args...), event, size, MaxRecorded)))
		}
	}
	all := procedure.Targets(r)
	name, largest := "", 0
	for _, content := range []proto.Message{largestScope(r), largestPreview(r), largestOutcome(r)} {
		if size := proto.Size(content); size > largest {
			name, largest = string(content.ProtoReflect().Descriptor().Name()), size
		}
	}
	say("plan.waves", "plan.room", name, largest, "%d targets beside %d artifacts", len(all), len(r.GetArtifacts()))
	catalog := x.Service(r.GetService()).GetChecks()
	forth := criterion.Each(merged(catalog, r.GetValidation().GetChecks()))
	size, most := 0, 0
	for _, w := range r.GetPlan().GetWaves() {
		size, most = max(size, verification(forth, w.GetTargets())), max(most, len(w.GetTargets()))
	}
	say("validation.checks", "checks.room", "Verification", size, "%d checks, the catalog's among them, on a wave of %d targets", len(forth), most)
	// The way back is looked at on all targets together, and by the request's checks only
	// where there are no others.
	field, back := "rollback_plan.checks", criterion.Each(merged(catalog, r.GetRollbackPlan().GetChecks()))
	if len(back) == 0 {
		field, back = "validation.checks", forth
	}
	say(field, "checks.room", "Verification", verification(back, all), "%d checks, the catalog's among them, on all %d targets after a rollback", len(back), len(all))
	return out
}

// largestScope is step 2 with targets that carry the longest names of everything, each
// of them with two findings.
func largestScope(r *releasev1.Request) *releasev1.ScopeValidated {
	out := &releasev1.ScopeValidated{Findings: []*releasev1.Finding{finding(r.GetOwner(), longPerson+longName+8)}}
	for range 6 { // What the catalog says of the service, and which controls are missing.
		out.Findings = append(out.Findings, finding(r.GetService(), longLine))
	}
	for _, a := range r.GetArtifacts() {
		out.Artifacts = append(out.Artifacts, &releasev1.PinnedArtifact{
			Name: a.GetName(), Kind: a.GetKind(), Location: a.GetLocation(), Digest: text(longDigest), Size: math.MaxInt64, MediaType: text(longMedia),
		})
		pinned := out.GetArtifacts()[len(out.GetArtifacts())-1]
		pinned.Tag, pinned.TagResolved, pinned.Title = text(longTag), late(), text(longTitle)
		if a.GetKind() == releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE {
			for range 8 {
				pinned.Platforms = append(pinned.Platforms, &releasev1.PlatformImage{Platform: text(40), Digest: text(longDigest)})
			}
		}
		switch a.GetKind() { //nolint:exhaustive // The others are no plans.
		case releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN_JSON:
			pinned.Plan = &releasev1.PlanChanges{
				Create: math.MaxUint32, Update: math.MaxUint32, Delete: math.MaxUint32, Replace: math.MaxUint32, Forget: math.MaxUint32,
				Invoke: math.MaxUint32, Deferred: math.MaxUint32, Digest: text(longDigest), Attributes: true,
			}
			for range 24 {
				pinned.Plan.Changes = append(pinned.Plan.Changes, &releasev1.ResourceChange{
					Address: text(120), Action: releasev1.ResourceChange_ACTION_CREATE_AND_FORGET, Attributes: text(80),
				})
			}
			// What it would change, and what of it is not known.
			out.Findings = append(out.Findings, finding(a.GetName(), longLine), finding(a.GetName(), longLine))
		}
		// What it is, and that it is in quarantine.
		out.Findings = append(out.Findings, finding(a.GetName(), longLine), finding(a.GetName(), longLine))
		out.Bypassed = append(out.Bypassed, procedure.QuarantineBypass(a.GetName()))
	}
	carried := &releasev1.Deployment{
		Release: text(longRelease), Version: text(longVersion), Digest: text(longDigest), Time: late(), Service: text(longName),
	}
	for n, w := range r.GetPlan().GetWaves() {
		for _, id := range w.GetTargets() {
			out.Targets = append(out.Targets, &releasev1.ScopedTarget{
				Target: id, Wave: uint32(n),
				Driver: text(longName), Relation: releasev1.ScopedTarget_RELATION_SAME, Depth: math.MaxUint32,
				State: &releasev1.TargetState{Deployed: carried, Previous: carried, Generation: math.MaxUint64},
			})
			// "… carries version … already, since release …", and that it was taken back before.
			out.Findings = append(out.Findings, finding(id, len(id)+longVersion+max(longRelease, len(r.GetVersion()))+48), finding(id, len(id)+longRelease+64))
		}
	}
	return out
}

func finding(subject string, message int) *releasev1.Finding {
	return &releasev1.Finding{
		Rule: text(24), Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: subject, Message: text(min(message, longLine)),
	}
}

// largestPreview is what drivers say at the greatest length about every target, none of
// which carries what the record says.
func largestPreview(r *releasev1.Request) *releasev1.ChangePreviewed {
	out := &releasev1.ChangePreviewed{}
	for _, id := range procedure.Targets(r) {
		out.Previews = append(out.Previews, &releasev1.TargetPreview{
			Target: id, Summary: text(longLine), Detail: kept("preview of " + id), RollbackDigest: text(longDigest),
			RollbackReady: true, RollbackReason: text(longLine), Class: releasev1.DriverClass_DRIVER_CLASS_OPAQUE,
			Rollback: &releasev1.RollbackProof{
				Possible: true, Source: releasev1.RollbackProof_SOURCE_ORIGIN, Obtainable: true, Found: text(longFound), Demanded: true,
			},
			DiffDigest: text(longDigest),
		})
		out.Findings = append(out.Findings, finding(id, 96)) // It carries something else than the record says.
	}
	// Of some targets the tools fail, of others they say too much.
	out.Findings = append(out.Findings, finding(text(longName), longFound), finding(text(longName), longFound))
	return out
}

// largestOutcome is a way back on which every target says at length why it failed. The
// events of a wave and of the end say the same of as many targets or fewer.
func largestOutcome(r *releasev1.Request) *releasev1.RollbackFailed {
	out := &releasev1.RollbackFailed{Reason: text(longReasons), Attempt: math.MaxUint32}
	for _, id := range procedure.Targets(r) {
		out.Results = append(out.Results, &releasev1.TargetResult{
			Target: id, Status: releasev1.TargetResult_STATUS_SKIPPED, Digest: text(longDigest), Message: text(longLine),
			Output: kept("output of " + id), Started: late(), Ended: late(), Fence: math.MaxUint64,
		})
	}
	return out
}

// verification is the size of the largest event of step 6: one result for every check
// on every target, and one for what runs there. It is computed, because the product may
// be so large that making it is no way to find that out.
func verification(checks []*releasev1.Check, targets []string) int {
	results := func(checks, letters, reason int) int {
		one := proto.Size(&releasev1.Verification{Results: []*releasev1.CheckResult{{
			Check: "x", Target: "x", Verdict: releasev1.CheckResult_VERDICT_INCONCLUSIVE, Reason: text(reason),
			Samples: 1 << 16, Passed: 1 << 16, Failed: 1 << 16, Errors: 1 << 16,
		}}})
		return checks*(len(targets)*one+len(strings.Join(targets, ""))) + letters*len(targets)
	}
	letters := 0
	for _, c := range checks {
		letters += len(c.GetName())
		if c.GetPrometheus().GetBaseline() != nil {
			letters += longCompare + longDigest + 2 // What was compared is named by its digest.
		}
	}
	around := &releasev1.VerificationFailed{Verification: &releasev1.Verification{
		Wave: math.MaxUint32, Rollback: true, Started: late(), Ended: late(), Samples: kept("samples of " + text(longRelease)), Chart: kept("chart of " + text(longRelease)),
		Reason: text(longVerdict), Number: math.MaxUint32,
	}}
	return proto.Size(around) + results(1, len(ruleRunning), longRunning) + results(len(checks), letters, longJudged)
}

// merged are the checks of the catalog and those that it does not name itself.
func merged(catalog, asked []*releasev1.Check) []*releasev1.Check {
	taken := map[string]bool{}
	var out []*releasev1.Check
	for _, all := range [][]*releasev1.Check{catalog, asked} {
		for _, c := range all {
			if !taken[c.GetName()] {
				out = append(out, c)
			}
			taken[c.GetName()] = true
		}
	}
	return out
}

func kept(name string) *releasev1.EvidenceRef {
	return &releasev1.EvidenceRef{Digest: text(longDigest), MediaType: text(longMedia), Size: math.MaxInt64, Name: name}
}

// late is a time that takes as many bytes as any.
func late() *timestamppb.Timestamp {
	return &timestamppb.Timestamp{Seconds: 1 << 34, Nanos: 999_999_999}
}

func text(size int) string { return strings.Repeat("x", size) }
