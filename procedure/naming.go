package procedure

import (
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var (
	releasePattern  = regexp.MustCompile(`^[a-z][a-z0-9-]{0,79}$`)
	targetPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	artifactPattern = regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)
)

// ReleaseID names the release that a request makes. It is a function of what the
// requester calls the request, so that the same request is the same release
// however often, and through whichever process, it arrives (PD-0.2). The service
// stands in front for the people who read it.
func ReleaseID(environment, service, idempotencyKey string) string {
	h := sha256.New()
	for _, part := range []string{environment, service, idempotencyKey} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	sum := h.Sum(nil)
	return service + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// ValidRelease reports whether the text may stand for a release in a subject.
func ValidRelease(id string) bool { return releasePattern.MatchString(id) }

// ValidTarget reports whether the text may stand for a target in a subject.
func ValidTarget(id string) bool { return targetPattern.MatchString(id) }

// ValidArtifact reports whether the text may stand for an artifact in a subject.
func ValidArtifact(token string) bool { return artifactPattern.MatchString(token) }

// Aggregate is the history of a release: the first two tokens of its subjects.
func Aggregate(release string) string { return "rel." + release }

// TargetAggregate is the history of a target.
func TargetAggregate(target string) string { return "tgt." + target }

// ServiceAggregate is the history of a service in an environment.
func ServiceAggregate(environment, service string) string {
	return "svc." + environment + "--" + service
}

// ProcedureAggregate is the history of the procedure document with that id.
func ProcedureAggregate(id string) string { return "pol." + strings.ToLower(id) }

// BesidePrefix tells what lies beside the histories of procedure documents from these: no id
// of a procedure begins with a digit.
const BesidePrefix = "0-"

// DelegationsPrefix begins the histories of delegations.
const DelegationsPrefix = BesidePrefix + "stand-ins-"

// ProceduresAggregate is the history of which procedures have a document in effect.
func ProceduresAggregate() string { return ProcedureAggregate(BesidePrefix + "procedures") }

// DelegationsAggregate is the history of who approves for whom under the procedure with
// that id.
func DelegationsAggregate(id string) string {
	return ProcedureAggregate(DelegationsPrefix + id)
}

// ArtifactAggregate is the history of an artifact, whatever its name and wherever it
// lies, by its digest, "sha256:…".
func ArtifactAggregate(digest string) string { return "art." + strings.Replace(digest, ":", "-", 1) }

// ArtifactOf is the digest of the artifact that an aggregate is the history of.
func ArtifactOf(aggregate string) string {
	return strings.Replace(strings.TrimPrefix(aggregate, "art."), "-", ":", 1)
}

// eventData is what an event carries one of.
var eventData = (&releasev1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("data")

// TypeOf returns the event's type as it stands in subjects, such as
// "gates_confirmed"; empty for an event without data.
func TypeOf(e *releasev1.Event) string {
	f := e.ProtoReflect().WhichOneof(eventData)
	if f == nil {
		return ""
	}
	return string(f.Name())
}

// Services that write events; each may write what its folder stands for.
const (
	ServiceApproval  = "approval"
	ServiceValidator = "validator"
	ServiceExecutor  = "executor"
	ServiceRecorder  = "recorder"
)

// writers names the one service that may write each type of event.
var writers = map[string]string{
	"requested": ServiceApproval, "gates_confirmed": ServiceApproval, "gates_refused": ServiceApproval,
	"scope_validated": ServiceValidator, "scope_refused": ServiceValidator,
	"change_previewed": ServiceExecutor, "preview_refused": ServiceExecutor,
	"risk_cleared": ServiceApproval, "held": ServiceApproval, "risk_refused": ServiceApproval,
	"approval_given": ServiceApproval, "approval_withdrawn": ServiceApproval, "rejected": ServiceApproval,
	"authorized": ServiceApproval, "withdrawn": ServiceApproval, "superseded": ServiceApproval, "expired": ServiceApproval,
	"notified": ServiceApproval, "notice_acknowledged": ServiceApproval, "impact_reported": ServiceApproval, "authorization_refused": ServiceApproval,
	"unrecorded_change":    ServiceExecutor,
	"verification_revoked": ServiceValidator, "reverified": ServiceValidator,
	"execution_claimed": ServiceExecutor, "execution_finished": ServiceExecutor,
	"execution_failed": ServiceExecutor, "execution_unknown": ServiceExecutor, "execution_refused": ServiceExecutor,
	"evidence_added": ServiceApproval, "gates_held": ServiceApproval,
	"targets_released": ServiceExecutor, "start_held": ServiceExecutor, "target_freed": ServiceExecutor,
	"verification_passed": ServiceValidator, "verification_failed": ServiceValidator, "verification_inconclusive": ServiceValidator,
	"rollback_claimed": ServiceExecutor, "rolled_back": ServiceExecutor, "rollback_failed": ServiceExecutor, "rollback_unavailable": ServiceExecutor,
	"escalated": ServiceApproval, "acknowledged": ServiceApproval, "incident_closed": ServiceApproval, "intervened": ServiceApproval, "aborted": ServiceApproval,
	"paused": ServiceApproval, "resumed": ServiceApproval,
	"sign_off_wanted": ServiceValidator, "signed_off": ServiceApproval,
	"deadline_passed": ServiceApproval, "recorded": ServiceRecorder, "review_completed": ServiceApproval,
	"follow_up_added": ServiceApproval, "follow_up_closed": ServiceApproval,
	"target_locked": ServiceExecutor, "target_unlocked": ServiceExecutor,
	"freeze_overridden": ServiceApproval, "execution_overrun": ServiceExecutor,
	"service_changed": ServiceApproval, "request_refused": ServiceApproval, "procedure_activated": ServiceApproval,
	"artifact_quarantined": ServiceExecutor, "clearance_proposed": ServiceApproval, "quarantine_cleared": ServiceApproval,
	"procedure_proposed": ServiceApproval, "procedure_approved": ServiceApproval,
	"procedure_approval_withdrawn": ServiceApproval, "procedure_proposal_closed": ServiceApproval, "procedure_reviewed": ServiceApproval,
	"delegations_changed": ServiceApproval, "procedure_begun": ServiceApproval,
}

// WriterOf returns the service that may write events of that type; empty for an
// unknown type.
func WriterOf(eventType string) string { return writers[eventType] }
