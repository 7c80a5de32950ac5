package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Errors of decisions about quarantine.
var (
	// ErrNotQuarantined says that the artifact is not in quarantine.
	ErrNotQuarantined = errors.New("the artifact is not in quarantine")
	// ErrNotProposed says that nobody asked for the artifact to be let out since it was
	// last put there.
	ErrNotProposed = errors.New("nobody asked for it to be let out")
	// ErrOwnClearance says that one person cannot be two.
	ErrOwnClearance = errors.New("whoever asks for it does not agree to it")
	// ErrForgotten says that more releases put the artifact there, or indexes with it, than
	// its standing names.
	ErrForgotten = errors.New("so many releases put it there that nobody can tell who had a part in them: build it anew")
)

// RuleQuarantined is the rule of findings about artifacts in quarantine.
const RuleQuarantined = "artifact.quarantined"

// maxReasons bounds how many releases an artifact's standing names, and maxFull of how many
// it says all: of every one it says who asked for it and owned it. It names maxFull indexes.
const (
	maxReasons = 128
	maxFull    = 16
)

// maxReason bounds the text of a reason, in bytes.
const maxReason = 512

// Quarantined is what an artifact stands at (PD-2.3): it is released nowhere any more,
// under whatever name, to whatever service and target, once it was taken back.
type Quarantined struct {
	// State says why, and who let it out; nil where it never was there.
	State *releasev1.Quarantine
	// Held reports whether it is there.
	Held bool
}

// QuarantineOf reads the newest event of an artifact's history, whose events carry the
// whole standing. An artifact is out only by a clearance that is one: by a person, other
// than who asked for it, who had no part in what put it there. Whatever else the event
// says, the artifact is held: a mistake must not let it out.
func QuarantineOf(e *releasev1.Event) Quarantined {
	switch d := e.GetData().(type) {
	case *releasev1.Event_ArtifactQuarantined:
		state := d.ArtifactQuarantined.GetState()
		return Quarantined{State: state, Held: len(state.GetReasons()) > 0 || len(state.GetIndexes()) == 0 || state.GetForgotten() > 0}
	case *releasev1.Event_ClearanceProposed:
		return Quarantined{State: d.ClearanceProposed.GetState(), Held: true}
	case *releasev1.Event_QuarantineCleared:
		q := Quarantined{State: d.QuarantineCleared.GetState()}
		q.Held = !q.cleared(e)
		return q
	}
	return Quarantined{Held: true}
}

func (q Quarantined) cleared(e *releasev1.Event) bool {
	c := q.State.GetClearance()
	by := c.GetConfirmedBy()
	names := append([]string{by}, c.GetConfirmedAs()...)
	return e.GetWriter() == WriterOf("quarantine_cleared") && e.GetAggregate() == ArtifactAggregate(q.State.GetDigest()) &&
		e.GetActor().GetKind() == releasev1.Actor_KIND_HUMAN && by != "" && e.GetActor().GetId() == by &&
		c.GetProposedBy() != "" && !isOne(names, c.GetProposedBy()) && c.GetReason() != "" && c.GetComment() != "" && q.State.GetForgotten() == 0 &&
		!slices.ContainsFunc(q.State.GetReasons(), func(r *releasev1.QuarantineReason) bool {
			return isOne(names, r.GetRequester()) || isOne(names, r.GetOwner())
		})
}

// isOne reports whether a person with these names is meant, without regard to case, as the
// procedure document knows people.
func isOne(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// LetOut reports whether it was in quarantine for a reason of its own, and two people let
// it out.
func (q Quarantined) LetOut() bool { return !q.Held && len(q.State.GetReasons()) > 0 }

// Without returns what an artifact stands at without what one release did to it.
func (q Quarantined) Without(release string) Quarantined {
	if q.State == nil || !q.Held {
		return q
	}
	rest := slices.DeleteFunc(slices.Clone(q.State.GetReasons()), func(r *releasev1.QuarantineReason) bool { return r.GetRelease() == release })
	if len(rest) == 0 && q.State.GetForgotten() == 0 {
		return Quarantined{State: q.State}
	}
	return q
}

// DecideQuarantine puts an artifact into quarantine, and takes back what was asked for
// before. It returns nil where the same release put it there already.
func DecideQuarantine(q Quarantined, digest string, why *releasev1.QuarantineReason) *releasev1.Event {
	state := &releasev1.Quarantine{
		Digest: digest, Reasons: []*releasev1.QuarantineReason{why}, ClearedBefore: q.State.GetClearedBefore(), Indexes: q.State.GetIndexes(),
	}
	switch {
	case q.LetOut():
		state.ClearedBefore++
	case q.Held:
		for _, r := range q.State.GetReasons() {
			if r.GetRelease() == why.GetRelease() {
				return nil
			}
		}
		all := slices.Concat(state.GetReasons(), q.State.GetReasons())
		state.Reasons = all[:min(len(all), maxReasons)]
		for i := maxFull; i < len(state.GetReasons()); i++ {
			state.Reasons[i] = inShort(state.GetReasons()[i])
		}
		state.Forgotten = q.State.GetForgotten() + uint32(len(all)-len(state.GetReasons())) //nolint:gosec // One at the most.
	}
	return &releasev1.Event{Data: &releasev1.Event_ArtifactQuarantined{
		ArtifactQuarantined: &releasev1.ArtifactQuarantined{Release: why.GetRelease(), State: state},
	}}
}

// inShort is what of a reason is kept for as long as the artifact is in quarantine.
func inShort(r *releasev1.QuarantineReason) *releasev1.QuarantineReason {
	return &releasev1.QuarantineReason{
		Release: r.GetRelease(), Service: r.GetService(), Environment: r.GetEnvironment(),
		Requester: r.GetRequester(), Owner: r.GetOwner(), Cause: r.GetCause(), Time: r.GetTime(),
		CutShort: r.GetCutShort(),
	}
}

// DecideImage notes of an image that it is one of an index that goes into quarantine with
// a release, so that it is not released by itself either (PD-2.3). What it stands at for
// reasons of its own stays as it is. Within are those of its indexes that are in quarantine
// now, before this one goes there: where there is no room for more, the others give way,
// and if that is not enough, the image is held by itself from then on, for nobody would
// find the index that is left out. One that was let out and goes back is noted anew, so that
// whoever makes room meanwhile loses against this event, and not it. It returns nil where
// the index is there and noted already, and where the image is held without a reason that
// is named.
func DecideImage(q Quarantined, within []string, digest, index, release string) *releasev1.Event {
	noted := slices.Contains(q.State.GetIndexes(), index) && slices.Contains(within, index)
	if noted || q.Held && len(q.State.GetReasons()) == 0 {
		return nil
	}
	state := &releasev1.Quarantine{Digest: digest}
	if q.State != nil {
		state = proto.CloneOf(q.State)
	}
	if q.LetOut() {
		state.Reasons, state.Clearance = nil, nil
		state.ClearedBefore++
	}
	rest := slices.DeleteFunc(state.GetIndexes(), func(i string) bool { return i == index })
	if len(rest) >= maxFull {
		rest = slices.DeleteFunc(rest, func(i string) bool { return !slices.Contains(within, i) })
	}
	all := append([]string{index}, rest...)
	state.Indexes = all[:min(len(all), maxFull)]
	state.Forgotten += uint32(len(all) - len(state.GetIndexes())) //nolint:gosec // One at the most.
	return &releasev1.Event{Data: &releasev1.Event_ArtifactQuarantined{
		ArtifactQuarantined: &releasev1.ArtifactQuarantined{Release: release, State: state},
	}}
}

// ImagesOf are the images of the platforms of a release's artifact, each once; none where
// it is no index.
func ImagesOf(s State, digest string) []string {
	var out []string
	for _, a := range s.Artifacts {
		for _, p := range a.GetPlatforms() {
			if a.GetDigest() == digest && p.GetDigest() != digest && !slices.Contains(out, p.GetDigest()) {
				out = append(out, p.GetDigest())
			}
		}
	}
	return out
}

// RemedyQuarantines is the artifact that goes into quarantine with the way back, or with
// the word that there is none; "" where it never ran anywhere, so that nothing is known
// against it.
func RemedyQuarantines(s State) string {
	if len(s.Begun) == 0 {
		return ""
	}
	return s.PrimaryArtifact().GetDigest()
}

// ReleaseQuarantines is the release whose artifact goes into quarantine when this one
// lets its targets go: it was asked for to take that one back, and did. "" for none.
func ReleaseQuarantines(s State) string {
	switch s.Outcome { //nolint:exhaustive // The outcomes with which something was placed.
	case releasev1.Outcome_OUTCOME_SUCCEEDED, releasev1.Outcome_OUTCOME_SUCCEEDED_WITH_ISSUES, releasev1.Outcome_OUTCOME_ROLLED_FORWARD:
		if s.isRollback() && len(s.Begun) > 0 {
			return s.Request.GetRollbackOf()
		}
	}
	return ""
}

// WhyQuarantined says why a release puts its artifact into quarantine: by the newest of
// its events that sent it back.
func WhyQuarantined(s State, entries []Entry, at time.Time) *releasev1.QuarantineReason {
	why := reasonOf(s, at)
	_, rejected := Fold(s.Release, entries)
	entries = slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool {
		return slices.ContainsFunc(rejected, func(r Rejection) bool { return r.Entry.Sequence == e.Sequence })
	})
	for i := len(entries) - 1; i >= 0 && why.GetCause() == releasev1.QuarantineReason_CAUSE_UNSPECIFIED; i-- {
		switch d := entries[i].Event.GetData().(type) {
		case *releasev1.Event_VerificationFailed:
			why.Cause, why.Reason = releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, d.VerificationFailed.GetVerification().GetReason()
		case *releasev1.Event_VerificationInconclusive:
			why.Cause, why.Reason = releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED, d.VerificationInconclusive.GetVerification().GetReason()
		case *releasev1.Event_ExecutionFailed:
			why.Cause, why.Reason = releasev1.QuarantineReason_CAUSE_EXECUTION_FAILED, d.ExecutionFailed.GetReason()
		case *releasev1.Event_ExecutionOverrun:
			why.Cause = releasev1.QuarantineReason_CAUSE_OVERRUN
			for _, h := range d.ExecutionOverrun.GetReasons() {
				why.Reason += h.GetRule() + " " + h.GetSubject() + ": " + h.GetMessage() + " "
			}
		case *releasev1.Event_Aborted:
			why.Cause = releasev1.QuarantineReason_CAUSE_ORDERED
			why.Reason = "aborted by " + entries[i].Event.GetActor().GetId() + ": " + d.Aborted.GetReason()
		case *releasev1.Event_Intervened:
			why.Cause = releasev1.QuarantineReason_CAUSE_ORDERED
			why.Reason = "taken back by " + entries[i].Event.GetActor().GetId() + ": " + d.Intervened.GetReason()
		}
	}
	why.Reason = cut(strings.TrimSpace(why.GetReason()))
	why.CutShort = s.isRollback() && isCutShort(why.GetCause(), entries)
	return why
}

// isCutShort reports whether a way back ended for a reason that says nothing against what it
// placed: a target could not be changed, or a person stopped it, and no check had failed or
// come to no verdict before.
func isCutShort(cause releasev1.QuarantineReason_Cause, entries []Entry) bool {
	return (cause == releasev1.QuarantineReason_CAUSE_EXECUTION_FAILED || cause == releasev1.QuarantineReason_CAUSE_ORDERED) &&
		!slices.ContainsFunc(entries, func(e Entry) bool {
			return e.Event.GetVerificationFailed() != nil || e.Event.GetVerificationInconclusive() != nil
		})
}

// WhyTakenBack says why the artifact of a release is in quarantine that another one took
// back.
func WhyTakenBack(taken, by State, at time.Time) *releasev1.QuarantineReason {
	why := reasonOf(taken, at)
	why.Cause, why.ByRelease = releasev1.QuarantineReason_CAUSE_TAKEN_BACK, by.Release
	why.Reason = cut("taken back by release " + by.Release + ", asked for by " + by.Request.GetRequester() + ": " + by.Request.GetPlan().GetDescription())
	return why
}

func reasonOf(s State, at time.Time) *releasev1.QuarantineReason {
	r := s.Request
	return &releasev1.QuarantineReason{
		Release: s.Release, Service: r.GetService(), Environment: r.GetEnvironment(), Version: r.GetVersion(),
		Requester: r.GetRequester(), Owner: r.GetOwner(), Time: timestamppb.New(at),
	}
}

func cut(text string) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason-len("…")], "") + "…"
	}
	return text
}

// QuarantineSeverity is how bad it is for a release that one of its artifacts stands in
// quarantine as given. It stops a planned release, and an emergency unless the procedure
// document lets emergencies around it. A rollback to what every target carries or carried is
// the way back and not stopped, unless the artifact is there for what it did here: a rollback
// of a rollback would place again what somebody took back. A rollback to anything else is a
// release like any other (PD-2.3).
func QuarantineSeverity(r *releasev1.Request, targets []*releasev1.ScopedTarget, q *releasev1.Quarantine, bypassable bool) releasev1.Finding_Severity {
	switch r.GetTrigger() {
	case releasev1.Trigger_TRIGGER_EMERGENCY:
		if bypassable {
			return releasev1.Finding_SEVERITY_WARNING
		}
	case releasev1.Trigger_TRIGGER_ROLLBACK:
		if len(targets) > 0 && !slices.ContainsFunc(targets, func(t *releasev1.ScopedTarget) bool {
			return len(placedBy(t, r)) == 0
		}) && !failedHere(r, targets, q) {
			return releasev1.Finding_SEVERITY_WARNING
		}
	case releasev1.Trigger_TRIGGER_PLANNED, releasev1.Trigger_TRIGGER_UNSPECIFIED:
	}
	return releasev1.Finding_SEVERITY_BLOCKING
}

// placedBy are the releases by which a target carries, or carried just before, what is to be
// placed; none where it did not.
func placedBy(t *releasev1.ScopedTarget, r *releasev1.Request) (releases []string) {
	for _, d := range []*releasev1.Deployment{t.GetState().GetPrevious(), t.GetState().GetDeployed()} {
		if d.GetDigest() == r.GetArtifacts()[0].GetDigest() {
			releases = append(releases, d.GetRelease())
		}
	}
	return releases
}

// failedHere reports whether an artifact is in quarantine because it was taken back from the
// service in the environment, or because the release failed that placed it on one of the
// targets. What went wrong with it elsewhere says less than that it ran here. That a freeze
// took a release back says nothing against it, nor that a way back got no further than half:
// it has to be asked for again, or the other half stays with what is broken.
func failedHere(r *releasev1.Request, targets []*releasev1.ScopedTarget, q *releasev1.Quarantine) bool {
	return slices.ContainsFunc(q.GetReasons(), func(why *releasev1.QuarantineReason) bool {
		if why.GetCause() == releasev1.QuarantineReason_CAUSE_TAKEN_BACK {
			return why.GetService() == r.GetService() && why.GetEnvironment() == r.GetEnvironment()
		}
		return why.GetCause() != releasev1.QuarantineReason_CAUSE_OVERRUN && !why.GetCutShort() && slices.ContainsFunc(targets, func(t *releasev1.ScopedTarget) bool {
			return slices.Contains(placedBy(t, r), why.GetRelease())
		})
	})
}

// QuarantineBypass is the name of the control that an emergency goes around with an
// artifact that is in quarantine.
func QuarantineBypass(artifact string) string { return "quarantine of artifact " + artifact }

// Sentence says who put the artifact there, when and why, or who let it out.
func (q Quarantined) Sentence() string {
	reasons := q.State.GetReasons()
	switch {
	case len(reasons) == 0 && q.State.GetForgotten() > 0:
		return "in quarantine because it is an image of more indexes that are there than anybody can look after: build it anew"
	case len(reasons) == 0:
		return "it is in quarantine, and its history does not say why"
	}
	r := reasons[0]
	out := fmt.Sprintf("release %s (%s %s in %s, asked for by %s, owned by %s): %s, %s: %s", r.GetRelease(), r.GetService(), r.GetVersion(),
		r.GetEnvironment(), r.GetRequester(), r.GetOwner(), causes[r.GetCause()], stamp(r.GetTime()), r.GetReason())
	if more := len(reasons) - 1 + int(q.State.GetForgotten()); more > 0 {
		out += fmt.Sprintf("; %d more releases did so", more)
	}
	if c := q.State.GetClearance(); !q.Held {
		return fmt.Sprintf("let out of quarantine %s by %s, as %s asked for (%s), after ", stamp(c.GetConfirmed()), c.GetConfirmedBy(), c.GetProposedBy(), c.GetReason()) + out
	}
	return "in quarantine because of " + out
}

// OfIndex says of an image why it is not released: because of an index that it is one of.
func OfIndex(index string, q Quarantined) string {
	return "it is an image of the index " + index + ", which is " + q.Sentence()
}

func stamp(t *timestamppb.Timestamp) string { return t.AsTime().UTC().Format(time.RFC3339) }

var causes = map[releasev1.QuarantineReason_Cause]string{
	releasev1.QuarantineReason_CAUSE_UNSPECIFIED:       "taken back",
	releasev1.QuarantineReason_CAUSE_VALIDATION_FAILED: "validation failed",
	releasev1.QuarantineReason_CAUSE_EXECUTION_FAILED:  "execution failed",
	releasev1.QuarantineReason_CAUSE_ORDERED:           "stopped by a person",
	releasev1.QuarantineReason_CAUSE_TAKEN_BACK:        "taken back by another release",
	releasev1.QuarantineReason_CAUSE_OVERRUN:           "taken back for a freeze",
}

// DecideProposal is a person's word that an artifact may be released again. It lets
// nothing out, and takes the place of what was asked for before.
func DecideProposal(q Quarantined, by *releasev1.Actor, reason string, at time.Time) (*releasev1.Event, error) {
	switch {
	case by.GetKind() != releasev1.Actor_KIND_HUMAN || by.GetId() == "":
		return nil, ErrNotHuman
	case !q.Held || q.State == nil:
		return nil, ErrNotQuarantined
	}
	state := proto.CloneOf(q.State)
	state.Clearance = &releasev1.Clearance{ProposedBy: by.GetId(), Proposed: timestamppb.New(at), Reason: reason}
	return &releasev1.Event{Data: &releasev1.Event_ClearanceProposed{ClearanceProposed: &releasev1.ClearanceProposed{State: state}}}, nil
}

// DecideClearance lets an artifact out, where another person than who asked for it
// agrees who did not ask for, own or write any of the releases that put it there, under
// whatever name: names are all that the person has by the document in effect, and another
// account of theirs is nobody else (PD-A.1). The releases are given as they were folded, by
// their ids; of one that is missing nobody can tell who had a part in it.
func DecideClearance(q Quarantined, of map[string]State, by *releasev1.Actor, names []string, comment string, at time.Time) (*releasev1.Event, error) {
	c := q.State.GetClearance()
	all := append([]string{by.GetId()}, names...)
	switch {
	case by.GetKind() != releasev1.Actor_KIND_HUMAN || by.GetId() == "":
		return nil, ErrNotHuman
	case !q.Held:
		return nil, ErrNotQuarantined
	case c.GetProposedBy() == "":
		return nil, ErrNotProposed
	case isOne(all, c.GetProposedBy()):
		return nil, fmt.Errorf("%w: %s asked for it", ErrOwnClearance, c.GetProposedBy())
	case q.State.GetForgotten() > 0:
		return nil, ErrForgotten
	}
	for _, r := range q.State.GetReasons() {
		s, known := of[r.GetRelease()]
		if !known || s.Phase == PhaseNone {
			return nil, fmt.Errorf("%w: release %s is not on record", ErrNotQuarantined, r.GetRelease())
		}
		for _, p := range s.Parts() {
			if isOne(all, p.Person) {
				return nil, fmt.Errorf("%w: %s is %s of release %s", ErrOwnChange, p.Person, p.Role, r.GetRelease())
			}
		}
	}
	state := proto.CloneOf(q.State)
	state.Clearance.ConfirmedBy, state.Clearance.Confirmed, state.Clearance.Comment = by.GetId(), timestamppb.New(at), comment
	state.Clearance.ConfirmedAs = names
	return &releasev1.Event{Data: &releasev1.Event_QuarantineCleared{QuarantineCleared: &releasev1.QuarantineCleared{State: state}}}, nil
}

// quarantines refuses an event that puts another artifact into quarantine than the one
// that the release placed.
func (s *State) quarantines(e Entry, digest string) error {
	if digest != "" && digest != RemedyQuarantines(*s) {
		return s.invalid(e, "the artifact in quarantine is not the one that was placed")
	}
	return nil
}
