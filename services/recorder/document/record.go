// Package document writes the deployment record: what PROC-DEPLOY-001 asks for at
// step 8 and an auditor reads, made from the events of one release alone (PD-8.1).
//
// It has two forms. The JSON form is what the event `recorded` carries the digest
// of, so it is a function of the events up to a sequence and of nothing else:
// neither of the clock nor of other aggregates. Fields of it that repeat messages
// of the contract have the names and values of their protobuf-JSON, with sorted
// keys and no space. docs/record.md says how anybody computes the digest again.
//
// The Markdown form is for reading, in the order of the procedure: a summary in
// words, then what each step found, the issues and follow-ups with an explicit none,
// and at the end every event and every digest in full. Whatever people or other
// systems wrote means nothing in it but itself: see escape. It is no part of what
// is digested, so it may become better without old digests becoming riddles.
//
// The package is pure.
package document

import (
	"encoding/json"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// Schema names the form of the JSON record. A change of what is written is a new
// version: digests of old records must stay explainable.
const Schema = "shipwarden.record.v1"

// Record is the deployment record of one release.
type Record struct {
	Schema       string `json:"schema"`
	Release      string `json:"release"`
	Service      string `json:"service"`
	Environment  string `json:"environment"`
	Version      string `json:"version"`
	Trigger      string `json:"trigger"`
	Phase        string `json:"phase"`
	AsOfSequence uint64 `json:"as_of_sequence"`
	// AsOf is when the message of AsOfSequence was stored, and ProcedureVersion the
	// version of the procedure document. Neither is digested: see Given.
	AsOf             time.Time `json:"as_of,omitzero"`
	ProcedureDigest  string    `json:"procedure_digest"`
	ProcedureVersion string    `json:"procedure_version,omitempty"`

	Outcome *Outcome `json:"outcome,omitempty"`
	Timings Timings  `json:"timings"`

	RequestedAt   time.Time       `json:"requested_at"`
	RequestDigest string          `json:"request_digest"`
	RequestSigner string          `json:"request_signed_by,omitempty"`
	Request       json.RawMessage `json:"request"`
	Evidence      []Message       `json:"evidence"`

	Gates     []Message `json:"gates"`
	Artifacts []Message `json:"artifacts"`
	Targets   []Message `json:"targets"`
	Previews  []Message `json:"previews"`
	Findings  []Message `json:"findings"`
	Holds     []Entry   `json:"holds"`

	// Chosen is what ran in place of what was asked for; absent where nothing did.
	Chosen        Message    `json:"chosen,omitempty"`
	ChangeDigest  string     `json:"change_digest,omitempty"`
	Quorum        []Message  `json:"quorum"`
	Approvals     []Approval `json:"approvals"`
	Authorization *Entry     `json:"authorization,omitempty"`

	Notices       []Entry `json:"notices"`
	Execution     []Entry `json:"execution"`
	Verifications []Entry `json:"verifications"`
	Rollback      []Entry `json:"rollback"`
	Escalations   []Entry `json:"escalations"`
	Decisions     []Entry `json:"decisions"`

	Bypassed   []string  `json:"bypassed"`
	Deviations []string  `json:"deviations"`
	Review     *Entry    `json:"review,omitempty"`
	FollowUps  []Message `json:"follow_ups"`
	People     []Person  `json:"people"`

	Timeline []Line     `json:"timeline"`
	Rejected []Rejected `json:"rejected"`

	// What follows is in the record that is given out and not digested, as AsOf is.
	Planned         *Planned    `json:"planned,omitempty"`
	Incident        Message     `json:"incident,omitempty"`
	FollowUpActions []Message   `json:"follow_up_actions,omitzero"`
	Signatures      []Signature `json:"signatures,omitzero"`
	TakenBackBy     []Message   `json:"taken_back_by,omitzero"`
	Quarantine      Message     `json:"quarantine,omitempty"`
	Waits           []Wait      `json:"waits,omitzero"`
	Closer          *Closer     `json:"closer,omitempty"`
	Rollbacks       []Message   `json:"rollbacks,omitzero"`

	// events are the messages that count, steps and state what they amount to: what
	// the document for reading is written from besides.
	events []view.Recorded
	stored time.Time // of the last message
	steps  []*recorderv1.Step
	state  procedure.State
	named  []string // authors whom only the proof for refused gates names
	back   []*recorderv1.WayBack
	stands *recorderv1.QuarantinedArtifact
	// closing is the message after which nothing was owed any more; nil while there is none.
	closing *view.Recorded
}

// Message is a message of the contract in stable protobuf-JSON.
type Message = json.RawMessage

// Entry is what one event says, with who and when.
type Entry struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	By       string    `json:"by,omitempty"`
	Event    Message   `json:"event"`
}

// Approval is one person's approval, and what became of it.
type Approval struct {
	Person       string    `json:"person"`
	Groups       []string  `json:"groups"`
	Method       string    `json:"method"`
	Time         time.Time `json:"time"`
	Expires      time.Time `json:"expires"`
	ChangeDigest string    `json:"change_digest"`
	// ShownDigest is the SHA-256 of what the person was shown.
	ShownDigest string `json:"shown_digest"`
	Comment     string `json:"comment,omitempty"`
	SignedBy    string `json:"signed_by"`
	// CountedFor is the group for which it counted; empty where it did not.
	CountedFor  string     `json:"counted_for,omitempty"`
	WithdrawnAt *time.Time `json:"withdrawn_at,omitempty"`
	// Consent is the person's own signature; absent where none was given.
	Consent *Consent `json:"consent,omitempty"`
	// StandInFor is for whom the person approved, and StandInGroups the groups of that
	// person for which it could count; empty where they approved for themselves.
	StandInFor    string   `json:"stand_in_for,omitempty"`
	StandInGroups []string `json:"stand_in_groups,omitempty"`
	// OnCall are the shifts by which the person, or the one whom they stood in for, was in
	// some of the groups: they are no member of these.
	OnCall []Shift `json:"on_call,omitempty"`
}

// Shift is a span of time in which one person was on call for a group.
type Shift struct {
	Group  string    `json:"group"`
	Rota   string    `json:"rota"`
	Number uint32    `json:"number"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
	// Override is why it was somebody else than the rota says; empty where it was whom it says.
	Override string `json:"override,omitempty"`
}

// Consent is a person's own signature of an approval, as stock `ssh-keygen -Y verify` or
// `cosign verify-blob` takes it (PD-A.4).
type Consent struct {
	// Namespace is what an SSH signature was made for.
	Namespace string `json:"namespace,omitempty"`
	// Text is what was signed, to the last byte.
	Text string `json:"text"`
	// Signature is an SSH signature in its text form.
	Signature string `json:"signature,omitempty"`
	// Bundle is a sigstore bundle, and Issuer and Subject the identity that its certificate
	// was issued to.
	Bundle  string `json:"bundle,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// Outcome is how the release ended, and who closed it.
type Outcome struct {
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	EndedBy string    `json:"ended_by,omitempty"`
	EndedAt time.Time `json:"ended_at"`
	// RecordedAt, RecordDigest and RecordAsOf are those of the event `recorded`:
	// the digest is that of this record as of that sequence.
	RecordedAt   *time.Time `json:"recorded_at,omitempty"`
	RecordedBy   string     `json:"recorded_by,omitempty"`
	RecordDigest string     `json:"record_digest,omitempty"`
	RecordAsOf   uint64     `json:"record_as_of,omitempty"`
	// ClosedAt is when nothing was owed any more.
	ClosedAt *time.Time `json:"closed_at,omitempty"`
}

// Timings say where the time went, in milliseconds of the server's clock.
type Timings struct {
	// Lead is from the request to the first claim of a target.
	Lead int64 `json:"lead_ms"`
	// Phases is the time in each phase: the waits at the gates, for people and for
	// windows among them.
	Phases []PhaseTime `json:"phases"`
	// Execute is the work on targets, Bake the verification, Remedy the way back.
	Execute int64 `json:"execute_ms"`
	Bake    int64 `json:"bake_ms"`
	Remedy  int64 `json:"remedy_ms"`
	// PlannedBake is what the request asked for, or what was chosen in place of it, wave by
	// wave.
	PlannedBake int64 `json:"planned_bake_ms"`
	// Total is from the request to the outcome, or to the last event before it.
	Total int64 `json:"total_ms"`
}

// PhaseTime is the time in one phase, all stays together.
type PhaseTime struct {
	Phase string `json:"phase"`
	Time  int64  `json:"time_ms"`
}

// Person is somebody who had a part.
type Person struct {
	Person string `json:"person"`
	Part   string `json:"part"`
}

// Line is one event of the timeline.
type Line struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Type     string    `json:"type"`
	Writer   string    `json:"writer"`
	Actor    string    `json:"actor,omitempty"`
	SignedBy string    `json:"signed_by"`
	Digest   string    `json:"digest"`
	Text     string    `json:"text"`
}

// Rejected is a message that does not count.
type Rejected struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	Subject  string    `json:"subject"`
	Digest   string    `json:"digest"`
	Reason   string    `json:"reason"`
}
