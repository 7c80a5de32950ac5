package document

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// builder collects the record while it goes through the events.
type builder struct {
	record   *Record
	timeline *view.Timeline
}

// Build makes the record of a release from its messages, in the order of the
// stream. Those that do not count are listed and change nothing else.
func Build(release string, all []view.Recorded) *Record {
	b := &builder{record: empty(release), timeline: view.New(release)}
	for _, r := range all {
		b.record.AsOfSequence, b.record.stored = r.Entry.Sequence, r.Entry.Stored
		if r.Counts() {
			before := b.timeline.State()
			err := b.timeline.Add(r.Entry)
			if err == nil {
				b.add(before, r)
				b.record.events = append(b.record.events, r)
				continue
			}
			r.Rejected = err.Error()
		}
		b.record.Rejected = append(b.record.Rejected, Rejected{
			Sequence: r.Entry.Sequence, Time: r.Entry.Stored, Subject: r.Subject, Digest: r.Digest(), Reason: r.Rejected,
		})
	}
	b.finish()
	return b.record
}

// empty is the record of a release of which nothing is known: with lists that hold
// nothing, not without lists.
func empty(release string) *Record {
	return &Record{
		Schema: Schema, Release: release, Request: Message("null"),
		Evidence: []Message{}, Gates: []Message{}, Artifacts: []Message{}, Targets: []Message{}, Previews: []Message{},
		Findings: []Message{}, Holds: []Entry{}, Quorum: []Message{}, Approvals: []Approval{}, Notices: []Entry{},
		Execution: []Entry{}, Verifications: []Entry{}, Rollback: []Entry{}, Escalations: []Entry{}, Decisions: []Entry{},
		Bypassed: []string{}, Deviations: []string{}, FollowUps: []Message{}, People: []Person{}, Timeline: []Line{},
		Rejected: []Rejected{}, Timings: Timings{Phases: []PhaseTime{}},
	}
}

// AsOf makes the record as of a sequence, whatever came later.
func AsOf(release string, all []view.Recorded, sequence uint64) *Record {
	for i, r := range all {
		if r.Entry.Sequence > sequence {
			all = all[:i]
			break
		}
	}
	return Build(release, all)
}

// JSON is the form of the record that the event `recorded` carries the digest of,
// unless it was made for giving out.
func (r *Record) JSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("write the record of %s: %w", r.Release, err)
	}
	return out.Bytes(), nil
}

// add takes one event that counts.
func (b *builder) add(before procedure.State, r view.Recorded) {
	e := r.Entry.Event
	b.record.Timeline = append(b.record.Timeline, Line{
		Sequence: r.Entry.Sequence, Time: r.Entry.Stored, Type: procedure.TypeOf(e), Writer: e.GetWriter(),
		Actor: e.GetActor().GetId(), SignedBy: r.SignedBy, Digest: r.Digest(), Text: view.Describe(e),
	})
	b.early(r)
	b.late(r)
	after := b.timeline.State()
	switch {
	case before.Phase == after.Phase || b.record.Outcome == nil:
	case after.Phase == procedure.PhaseClosed:
		at := r.Entry.Stored
		b.record.Outcome.ClosedAt, b.record.closing = &at, &r
	case before.Phase == procedure.PhaseClosed:
		// What somebody has changed by hand since is owed again.
		b.record.Outcome.ClosedAt, b.record.closing = nil, nil
	}
}

// early covers the events up to authorization.
func (b *builder) early(r view.Recorded) {
	d := b.record
	switch x := r.Entry.Event.GetData().(type) {
	case *releasev1.Event_Requested:
		q := x.Requested.GetRequest()
		d.Service, d.Environment, d.Version = q.GetService(), q.GetEnvironment(), q.GetVersion()
		d.Trigger = view.Word(q.GetTrigger(), "TRIGGER_")
		d.RequestedAt, d.RequestDigest, d.RequestSigner = r.Entry.Stored, x.Requested.GetRequestDigest(), x.Requested.GetSignedBy()
		d.Request, d.Evidence = b.message(q), messages(b, x.Requested.GetEvidence())
	case *releasev1.Event_GatesConfirmed:
		d.Gates = messages(b, x.GatesConfirmed.GetVerdicts())
	case *releasev1.Event_GatesRefused:
		d.Gates = messages(b, x.GatesRefused.GetVerdicts())
	case *releasev1.Event_ScopeValidated:
		d.Artifacts, d.Targets = messages(b, x.ScopeValidated.GetArtifacts()), messages(b, x.ScopeValidated.GetTargets())
		d.Findings = append(d.Findings, messages(b, x.ScopeValidated.GetFindings())...)
	case *releasev1.Event_ScopeRefused:
		d.Findings = append(d.Findings, messages(b, x.ScopeRefused.GetFindings())...)
	case *releasev1.Event_ChangePreviewed:
		d.Previews = messages(b, x.ChangePreviewed.GetPreviews())
	case *releasev1.Event_PreviewRefused:
		d.Findings = append(d.Findings, messages(b, x.PreviewRefused.GetFindings())...)
	case *releasev1.Event_RiskCleared:
		d.ChangeDigest, d.Quorum = x.RiskCleared.GetChangeDigest(), messages(b, x.RiskCleared.GetQuorum())
		d.Findings = append(d.Findings, messages(b, x.RiskCleared.GetFindings())...)
		if c := x.RiskCleared.GetChosen(); c != nil {
			d.Chosen, d.Targets = b.message(c), messages(b, b.timeline.State().Targets)
		}
	case *releasev1.Event_RiskRefused:
		d.Findings = append(d.Findings, messages(b, x.RiskRefused.GetFindings())...)
	case *releasev1.Event_Held:
		d.Holds = append(d.Holds, b.entry(r, x.Held))
	case *releasev1.Event_GatesHeld:
		d.Holds = append(d.Holds, b.entry(r, x.GatesHeld))
	case *releasev1.Event_EvidenceAdded:
		d.Evidence = append(d.Evidence, messages(b, x.EvidenceAdded.GetEvidence())...)
	case *releasev1.Event_StartHeld:
		d.Holds = append(d.Holds, b.entry(r, x.StartHeld))
	case *releasev1.Event_TargetFreed:
		d.Holds = append(d.Holds, b.entry(r, x.TargetFreed))
	case *releasev1.Event_ApprovalGiven:
		b.approve(r, x.ApprovalGiven)
	case *releasev1.Event_ApprovalWithdrawn:
		b.withdraw(r)
		d.Decisions = append(d.Decisions, b.entry(r, x.ApprovalWithdrawn))
	case *releasev1.Event_Rejected:
		d.Decisions = append(d.Decisions, b.entry(r, x.Rejected))
	case *releasev1.Event_Withdrawn:
		d.Decisions = append(d.Decisions, b.entry(r, x.Withdrawn))
	case *releasev1.Event_Superseded:
		d.Decisions = append(d.Decisions, b.entry(r, x.Superseded))
	case *releasev1.Event_Expired:
		d.Decisions = append(d.Decisions, b.entry(r, x.Expired))
	case *releasev1.Event_Authorized:
		entry := b.entry(r, x.Authorized)
		d.Authorization = &entry
		b.count(x.Authorized.GetApprovals())
	}
}

// late covers the events from the notices on.
func (b *builder) late(r view.Recorded) {
	d := b.record
	switch x := r.Entry.Event.GetData().(type) {
	case *releasev1.Event_Notified:
		d.Notices = append(d.Notices, b.entry(r, x.Notified))
	case *releasev1.Event_ImpactReported:
		d.Decisions = append(d.Decisions, b.entry(r, x.ImpactReported))
	case *releasev1.Event_UnrecordedChange:
		d.Escalations = append(d.Escalations, b.entry(r, x.UnrecordedChange))
	case *releasev1.Event_AuthorizationRefused:
		d.Decisions = append(d.Decisions, b.entry(r, x.AuthorizationRefused))
	case *releasev1.Event_NoticeAcknowledged:
		d.Notices = append(d.Notices, b.entry(r, x.NoticeAcknowledged))
	case *releasev1.Event_ExecutionClaimed:
		d.Execution = append(d.Execution, b.entry(r, x.ExecutionClaimed))
	case *releasev1.Event_ExecutionFinished:
		d.Execution = append(d.Execution, b.entry(r, x.ExecutionFinished))
	case *releasev1.Event_ExecutionFailed:
		d.Execution = append(d.Execution, b.entry(r, x.ExecutionFailed))
	case *releasev1.Event_ExecutionUnknown:
		d.Execution = append(d.Execution, b.entry(r, x.ExecutionUnknown))
	case *releasev1.Event_ExecutionRefused:
		d.Execution = append(d.Execution, b.entry(r, x.ExecutionRefused))
	case *releasev1.Event_TargetsReleased:
		d.Execution = append(d.Execution, b.entry(r, x.TargetsReleased))
	case *releasev1.Event_VerificationPassed:
		d.Verifications = append(d.Verifications, b.entry(r, x.VerificationPassed))
	case *releasev1.Event_VerificationFailed:
		d.Verifications = append(d.Verifications, b.entry(r, x.VerificationFailed))
	case *releasev1.Event_VerificationInconclusive:
		d.Verifications = append(d.Verifications, b.entry(r, x.VerificationInconclusive))
	case *releasev1.Event_VerificationRevoked:
		d.Verifications = append(d.Verifications, b.entry(r, x.VerificationRevoked))
	case *releasev1.Event_Reverified:
		d.Verifications = append(d.Verifications, b.entry(r, x.Reverified))
	case *releasev1.Event_RollbackClaimed:
		d.Rollback = append(d.Rollback, b.entry(r, x.RollbackClaimed))
	case *releasev1.Event_RolledBack:
		d.Rollback = append(d.Rollback, b.entry(r, x.RolledBack))
	case *releasev1.Event_RollbackFailed:
		d.Rollback = append(d.Rollback, b.entry(r, x.RollbackFailed))
	case *releasev1.Event_RollbackUnavailable:
		d.Rollback = append(d.Rollback, b.entry(r, x.RollbackUnavailable))
	case *releasev1.Event_Escalated:
		d.Escalations = append(d.Escalations, b.entry(r, x.Escalated))
	case *releasev1.Event_Acknowledged:
		d.Escalations = append(d.Escalations, b.entry(r, x.Acknowledged))
	case *releasev1.Event_DeadlinePassed:
		d.Escalations = append(d.Escalations, b.entry(r, x.DeadlinePassed))
	case *releasev1.Event_IncidentClosed:
		d.Decisions = append(d.Decisions, b.entry(r, x.IncidentClosed))
	case *releasev1.Event_Intervened:
		d.Decisions = append(d.Decisions, b.entry(r, x.Intervened))
	case *releasev1.Event_Aborted:
		d.Decisions = append(d.Decisions, b.entry(r, x.Aborted))
	case *releasev1.Event_Paused:
		d.Decisions = append(d.Decisions, b.entry(r, x.Paused))
	case *releasev1.Event_Resumed:
		d.Decisions = append(d.Decisions, b.entry(r, x.Resumed))
	case *releasev1.Event_SignOffWanted:
		d.Verifications = append(d.Verifications, b.entry(r, x.SignOffWanted))
	case *releasev1.Event_SignedOff:
		d.Decisions = append(d.Decisions, b.entry(r, x.SignedOff))
	case *releasev1.Event_FreezeOverridden:
		d.Decisions = append(d.Decisions, b.entry(r, x.FreezeOverridden))
	case *releasev1.Event_ExecutionOverrun:
		d.Execution = append(d.Execution, b.entry(r, x.ExecutionOverrun))
	case *releasev1.Event_ReviewCompleted:
		entry := b.entry(r, x.ReviewCompleted)
		d.Review, d.FollowUps = &entry, messages(b, x.ReviewCompleted.GetFollowUps())
	case *releasev1.Event_Recorded:
		b.outcome()
		at := r.Entry.Stored
		d.Outcome.RecordedAt, d.Outcome.RecordedBy = &at, r.SignedBy
		d.Outcome.RecordDigest, d.Outcome.RecordAsOf = x.Recorded.GetRecordDigest(), x.Recorded.GetAsOfSequence()
	}
}

func (b *builder) entry(r view.Recorded, m proto.Message) Entry {
	return Entry{
		Sequence: r.Entry.Sequence, Time: r.Entry.Stored, Type: procedure.TypeOf(r.Entry.Event),
		By: r.Entry.Event.GetActor().GetId(), Event: b.message(m),
	}
}

// message is a message in one form: the library's own varies its spaces on purpose.
// What has no form in JSON, such as a time in the year 10000, is kept in its bytes,
// so that nothing that was recorded can keep its record from being written.
func (b *builder) message(m proto.Message) Message {
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	var fields any
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(loose))
		d.UseNumber()
		err = d.Decode(&fields)
	}
	if err != nil {
		raw, _ := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		fields = map[string]any{"protobuf": raw}
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(fields); err != nil {
		return Message("null")
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}

func messages[M proto.Message](b *builder, all []M) []Message {
	out := make([]Message, 0, len(all))
	for _, m := range all {
		out = append(out, b.message(m))
	}
	return out
}
