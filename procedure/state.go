package procedure

import (
	"slices"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// State is everything that the procedure knows about one release: a value, folded
// from its events by Evolve and changed by nothing else. Copies may be kept and
// shared; messages and slices in it must not be changed.
type State struct {
	// Release is the release's id.
	Release string
	// Phase is where it stands, and Entered since when, by the server's clock.
	Phase   Phase
	Entered time.Time
	// Head is its newest event, Events the number of events that count.
	Head   Head
	Events int

	// Requested is what started it; Request, with every field but the evidence,
	// is what was asked for, from step 3 on with what was chosen in place of it: what will
	// run.
	Requested   *releasev1.Requested
	Request     *releasev1.Request
	RequestedAt time.Time
	// ProcedureDigest names the procedure document it runs under, to its end.
	ProcedureDigest string

	// LateEvidence is what came for the gates after the request.
	LateEvidence []*releasev1.EvidenceRef
	// Unkept is what its events say of evidence that could not be kept, and has not been since.
	Unkept []*releasev1.UnkeptEvidence
	// Gates is the outcome of step 1, and Confirmed what else its end says, where it let the
	// release pass; nil where it did not.
	Gates     []*releasev1.GateVerdict
	Confirmed *releasev1.GatesConfirmed
	// Artifacts and Targets are the outcome of step 2.
	Artifacts []*releasev1.PinnedArtifact
	Targets   []*releasev1.ScopedTarget
	// Previews is the driver's word of step 3.
	Previews []*releasev1.TargetPreview
	// Findings is everything that was called out on the way.
	Findings []*releasev1.Finding
	// Holds is why it waits, HeldUntil until when, and HeldFor which phase goes on
	// afterwards: PhaseScope, PhaseRisk or PhaseExecute. HeldSince is when the first
	// of the holds began whose end nobody knows and between which there was nothing but
	// looking again.
	Holds     []*releasev1.HoldReason
	HeldUntil time.Time
	HeldFor   Phase
	HeldSince time.Time
	// Freed is by whose end it was woken last while it waited for targets.
	Freed Freed

	// Score is how dangerous step 3 took it to be; nil before, and where nothing is weighed.
	Score *releasev1.RiskScore
	// Chosen is what step 3 chose in place of what was asked for; nil where nothing.
	Chosen *releasev1.Chosen
	// ChangeDigest is what approvals are bound to, Quorum which are needed.
	ChangeDigest string
	Quorum       []*releasev1.QuorumRule
	ApproveBy    time.Time
	// RemindAt is when people are reminded of approvals that are missing; zero where they
	// are not, or were already.
	RemindAt time.Time
	// Announced says that people are told when approvals are wanted, and ApprovalWaits counts
	// how often they were.
	Announced     bool
	ApprovalWaits uint32
	// ApprovalsFollowed says that the end of a wait is told also where no announcement of it is
	// on record.
	ApprovalsFollowed bool
	// Approvals is what people approved and have not taken back.
	Approvals []Approval
	// TakenBack is which signatures count no more, the newest of each person.
	TakenBack []TakenBack
	// Authorized is set while the approvals suffice.
	Authorized *releasev1.Authorized
	// Bypassed is every control that an emergency went around.
	Bypassed []string

	// Wave is the wave in work, from 0; Attempt its newest attempt, 0 before the
	// first claim.
	Wave    uint32
	Attempt uint32
	// Claim is who works on it; empty where nobody does.
	Claim Claim
	// Touched is every target that was ever claimed, in the order of claiming.
	Touched []string
	// Begun is every target on which an effect was begun, or may have been; a target that
	// was claimed and skipped is not among them.
	Begun []string
	// Began is when the claim was stored by which the first of them was begun, or the one from
	// which another executor took over; before that, the newest claim that is no takeover.
	Began time.Time
	// WavesBegan is when the first claim of each wave was stored that was claimed, by its number.
	WavesBegan []time.Time
	// Anew says that a person ordered it again when nothing had begun.
	Anew bool
	// Results is the newest known result of every touched target.
	Results []*releasev1.TargetResult
	// Verifications counts the verifications that ended.
	Verifications uint32
	// SignOffs is what people are asked of the verification under way, since SignOffsAsked; none where
	// nobody is.
	SignOffs      []SignOff
	SignOffsAsked time.Time
	// RollbackAttempt is the newest attempt of the way back.
	RollbackAttempt uint32
	// Rollbacks are the ways back of the release as changes of their own, in their order.
	Rollbacks []Rollback
	// Deciders are the people who decided about the release when it was escalated.
	Deciders []string
	// AbortBy and AbortReason are set where a person stopped the release.
	AbortBy     string
	AbortReason string
	// Pause is who keeps it from beginning anything new, and Pauses counts how often somebody did.
	Pause  Pause
	Pauses uint32
	// Forced says that a person ordered the way back.
	Forced bool

	// EscalatedFor is why a person has to decide, in PhaseEscalated.
	EscalatedFor releasev1.Cause
	// Question is what people are asked of it, where that has an end.
	Question Question
	// EscalatedRollback says that the unknown outcome is that of the way back.
	EscalatedRollback bool
	// DecideFrom is from when a person may decide, in PhaseEscalated: until then an
	// executor that was lost may still begin. Zero where none was.
	DecideFrom time.Time
	// Escalations is everything people were or are to be called for.
	Escalations []Escalation
	// Impacts counts the reports of an impact that nobody expected, and Impact is the
	// newest.
	Impacts uint32
	Impact  *releasev1.ImpactReported
	// Drifts are the targets that carry what no release has left there, and DriftsSeen counts
	// how often one was found to, or to do so no more.
	Drifts     []Drift
	DriftsSeen uint32
	// Verified is when the checks of the last wave had passed; zero where they did not. Later is
	// what was seen of it since.
	Verified time.Time
	Later    LaterLooks
	// Attempts is who tried to authorize the emergency and may not.
	Attempts []string
	// Wanted is what stakeholders have not been told yet.
	Wanted []Notice
	// Deferred is what channels are told later.
	Deferred []Deferral
	// Told is what they have been told, with whom it was meant for.
	Told []Told
	// Corrections counts how often people were told again of a start, and Corrected is what
	// they know of it since; empty where it is what they were told first.
	Corrections uint32
	Corrected   string
	// KnownWaits is what they know that it waits for, and until when.
	KnownWaits []string
	// NoticeOverdue says that people were called because a start waits for somebody's
	// word that they know of it.
	NoticeOverdue bool
	// Reminded is when the newest deadline passed that did not move the phase.
	Reminded time.Time

	// Outcome is how it ended, EndReason and EndedBy why and by whom.
	Outcome   releasev1.Outcome
	EndReason string
	EndedBy   string
	// Recorded says that step 8 is done, and RecordedAt since when.
	Recorded   bool
	RecordedAt time.Time
	// ReviewDue is when the retrospective review is due; zero where none is owed.
	ReviewDue     time.Time
	ReviewOverdue bool
	Review        *releasev1.ReviewCompleted
	ReviewedBy    string
	// FollowUps is what is to be done afterwards, by number, done or not.
	FollowUps []FollowUp
	// Overrides are the exceptions of freezes that people made for it.
	Overrides []Override
}

// Approval is one person's approval of the state's change digest.
type Approval struct {
	Person  string
	Groups  []string
	Given   time.Time
	Expires time.Time
	Comment string
	// ShownDigest names what the person was shown, Signature is the person's own; nil
	// where there is none.
	ShownDigest string
	Signature   *releasev1.ApprovalSignature
	// StandIn is for whom the person approved, whose groups Groups are then; nil where for
	// themselves.
	StandIn *releasev1.StandIn
}

// Claim is an executor's hold on a wave or on the way back.
type Claim struct {
	Claimer    string
	LeaseUntil time.Time
	Deadline   time.Time
	Sequence   uint64
}

// Escalation is one reason for which people are called.
type Escalation struct {
	Cause releasev1.Cause
	// Raised is when it became necessary, or necessary again.
	Raised time.Time
	// Rung is how often people were called, 0 before the first call.
	Rung uint32
	// CallNext says that the next rung is to be called.
	CallNext bool
	// AcknowledgeBy is until when the last rung has to take it on.
	AcknowledgeBy time.Time
	// AcknowledgedBy is who took it on; empty while nobody did.
	AcknowledgedBy string
	// ClosedBy is who closed the incident that it is part of; empty while nobody did, and where
	// it is none.
	ClosedBy string
}

// Notice names something that stakeholders are told.
type Notice struct {
	Occasion releasev1.Occasion
	// Number makes repeated occasions distinct.
	Number uint32
}

// Started reports whether a target was ever claimed for this release: from then
// on it can be aborted, and no longer withdrawn.
func (s State) Started() bool { return len(s.Touched) > 0 }

// starts reports whether a claim would be the start of the release, which needs approvals
// and waivers that still count: the first one is, and so is one that a person ordered
// again before anything had begun. Who takes a claim over does not start: the claimer that
// was lost may have begun.
func (s State) starts() bool {
	return s.Phase == PhaseExecute && (!s.Started() || s.Anew && len(s.Begun) == 0)
}

// Emergency reports whether the release is in the emergency lane.
func (s State) Emergency() bool {
	return s.Request.GetTrigger() == releasev1.Trigger_TRIGGER_EMERGENCY
}

// isRollback reports whether the release is the way back from another one.
func (s State) isRollback() bool {
	return s.Request.GetTrigger() == releasev1.Trigger_TRIGGER_ROLLBACK
}

// LockCounts reports whether a lock of the release on that target counts. One is stored
// together with a claim, and counts as long as that does: one of a release that never
// claimed the target, because the claim beside it was refused, or that has let it go,
// holds nobody up.
func (s State) LockCounts(target string) bool {
	return slices.Contains(s.Touched, target) && !s.LetGo()
}

// LetGo reports whether the release is at its end and holds no target any more: what is left
// of it is its record, and what follows from it.
func (s State) LetGo() bool { return s.Phase > PhaseRelease }

// WaveTargets returns the targets of the wave in work.
func (s State) WaveTargets() []string {
	waves := s.Request.GetPlan().GetWaves()
	if int(s.Wave) >= len(waves) {
		return nil
	}
	return waves[s.Wave].GetTargets()
}

// Preview returns the preview of a target; nil where there is none.
func (s State) Preview(target string) *releasev1.TargetPreview {
	for _, p := range s.Previews {
		if p.GetTarget() == target {
			return p
		}
	}
	return nil
}

// Scoped returns what step 2 found out about a target; nil where it did not.
func (s State) Scoped(target string) *releasev1.ScopedTarget {
	for _, t := range s.Targets {
		if t.GetTarget() == target {
			return t
		}
	}
	return nil
}

// Result returns the newest known result of a target; nil where there is none.
func (s State) Result(target string) *releasev1.TargetResult {
	for _, r := range s.Results {
		if r.GetTarget() == target {
			return r
		}
	}
	return nil
}

// ClassOf returns the weakest promise among the drivers of the given targets: one
// opaque target makes the whole claim opaque.
func (s State) ClassOf(targets []string) releasev1.DriverClass {
	class := releasev1.DriverClass_DRIVER_CLASS_FENCED
	for _, t := range targets {
		c := s.Preview(t).GetClass()
		if c == releasev1.DriverClass_DRIVER_CLASS_UNSPECIFIED {
			c = releasev1.DriverClass_DRIVER_CLASS_OPAQUE
		}
		class = max(class, c)
	}
	return class
}

// OpenEscalations returns the causes that nobody has taken on.
func (s State) OpenEscalations() []releasev1.Cause {
	var open []releasev1.Cause
	for _, e := range s.Escalations {
		if e.AcknowledgedBy == "" {
			open = append(open, e.Cause)
		}
	}
	return open
}

// ReviewOwed reports whether a retrospective review is owed and not done.
func (s State) ReviewOwed() bool { return !s.ReviewDue.IsZero() && s.Review == nil }

func (s *State) enter(p Phase, at time.Time) {
	s.Phase, s.Entered, s.Reminded, s.Question = p, at, time.Time{}, Question{}
	s.forgetSignOffs()
	if p == PhaseApprove {
		s.wantApprovals()
		return
	}
	s.forgetReminder()
	s.settleApprovals()
}

// end gives the release its outcome. Targets that were locked are let go first.
func (s *State) end(o releasev1.Outcome, by, reason string, at time.Time) {
	s.Outcome, s.EndedBy, s.EndReason = o, by, reason
	s.Pause = Pause{}
	s.Claim = Claim{}
	s.forgetStart()
	s.correct(notComing)
	if s.Started() {
		s.enter(PhaseRelease, at)
		return
	}
	s.enter(PhaseRecord, at)
}

// raise asks for people to be called. A cause that is open stays as it is.
func (s *State) raise(cause releasev1.Cause, at time.Time) {
	s.Escalations = slices.Clone(s.Escalations)
	for i := range s.Escalations {
		e := &s.Escalations[i]
		if e.Cause != cause {
			continue
		}
		if e.AcknowledgedBy != "" {
			*e = Escalation{Cause: cause, Raised: at, Rung: e.Rung, CallNext: true}
		}
		return
	}
	s.Escalations = append(s.Escalations, Escalation{Cause: cause, Raised: at, CallNext: true})
}

// settled takes on what people were called for and what is done now, in the name of who
// did it.
func (s *State) settled(cause releasev1.Cause, by string) {
	s.Escalations = slices.Clone(s.Escalations)
	for i := range s.Escalations {
		if x := &s.Escalations[i]; x.Cause == cause && x.AcknowledgedBy == "" {
			x.AcknowledgedBy, x.CallNext = by, false
			s.takenOn(*x)
		}
	}
}

// escalate stops the machine until a person decides.
func (s *State) escalate(cause releasev1.Cause, rollback bool, at time.Time) {
	s.EscalatedFor, s.EscalatedRollback, s.DecideFrom = cause, rollback, time.Time{}
	s.Claim = Claim{}
	s.raise(cause, at)
	s.enter(PhaseEscalated, at)
}

// remedy starts the way back and lets stakeholders know.
func (s *State) remedy(at time.Time) {
	s.Claim = Claim{}
	s.want(releasev1.Occasion_OCCASION_ROLLBACK, s.RollbackAttempt+1)
	s.enter(PhaseRemedy, at)
}

func (s *State) want(o releasev1.Occasion, number uint32) {
	n := Notice{Occasion: o, Number: number}
	if !slices.Contains(s.Wanted, n) {
		s.Wanted = append(slices.Clip(s.Wanted), n)
	}
}

// forgetStart takes the announcement of a start back that does not come now, and the
// wait for those who have to know of it.
func (s *State) forgetStart() {
	if len(Unacknowledged(*s)) > 0 {
		s.Holds, s.NoticeOverdue = nil, false
	}
	s.Wanted = slices.DeleteFunc(slices.Clone(s.Wanted), func(n Notice) bool { return n.Occasion == releasev1.Occasion_OCCASION_START })
}

// begin notes on which targets of the wave in work something may have changed: on all
// of them but those that are known to have been skipped.
func (s *State) begin(results []*releasev1.TargetResult) {
	begun := slices.Clone(s.Begun)
	for _, t := range s.WaveTargets() {
		skipped := slices.ContainsFunc(results, func(r *releasev1.TargetResult) bool {
			return r.GetTarget() == t && r.GetStatus() == releasev1.TargetResult_STATUS_SKIPPED
		})
		if !skipped && !slices.Contains(begun, t) {
			begun = append(begun, t)
		}
	}
	s.Begun = begun
}

func (s *State) setResults(results []*releasev1.TargetResult) {
	merged := slices.Clone(s.Results)
	for _, r := range results {
		i := slices.IndexFunc(merged, func(m *releasev1.TargetResult) bool { return m.GetTarget() == r.GetTarget() })
		if i < 0 {
			merged = append(merged, r)
			continue
		}
		merged[i] = r
	}
	s.Results = merged
}
