package procedure

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DecidePreview turns the driver's word on every target into the first half of
// step 3: a blocking finding refuses the release.
func DecidePreview(previews []*releasev1.TargetPreview, findings []*releasev1.Finding) *releasev1.Event {
	if len(blocking(findings)) > 0 {
		return &releasev1.Event{Data: &releasev1.Event_PreviewRefused{PreviewRefused: &releasev1.PreviewRefused{Findings: findings}}}
	}
	return &releasev1.Event{Data: &releasev1.Event_ChangePreviewed{ChangePreviewed: &releasev1.ChangePreviewed{
		Previews: previews, Findings: findings,
	}}}
}

// Rules of holds after which a release begins again with step 2, because another
// release changes or has changed a target that was looked at.
const (
	HoldTargetBusy    = "target.busy"
	HoldTargetChanged = "target.changed"
	// HoldDocumentUnreviewed is of releases that wait for the review of a procedure document
	// which took effect around the change control.
	HoldDocumentUnreviewed = "procedure.review_overdue"
)

// RiskFacts is what the second half of step 3 looked at.
type RiskFacts struct {
	// Holds is every reason to wait, Until when to look again.
	Holds []*releasev1.HoldReason
	Until time.Time
	// Findings is everything that was looked at; a blocking one refuses.
	Findings []*releasev1.Finding
	// Quorum is which approvals are needed, and ApproveBy until when.
	Quorum    []*releasev1.QuorumRule
	ApproveBy time.Time
	// Bypassed is every control that the emergency goes around at this step.
	Bypassed []string
	// RemindAt is when people are reminded of approvals that are missing; zero for never.
	RemindAt time.Time
	// CalendarDigest names the calendars that were looked at.
	CalendarDigest string
	// ZoneData names the time zone database by which freezes were judged.
	ZoneData string
	// Score is how dangerous it is taken to be; nil where the document does not weigh it.
	Score *releasev1.RiskScore
	// Alerts is what sources of alerts said, by which some of the holds and findings are.
	Alerts []*releasev1.AlertAnswer
	// Announced says that people are told that their approval is wanted.
	Announced bool
	// Chosen is what runs in place of what was asked for; nil where nothing does.
	Chosen *releasev1.Chosen
}

// DecideRisk turns the facts into the end of step 3, or into a hold (PD-3.1 to
// PD-3.5): what waiting does not cure refuses, what it cures holds, and otherwise
// the change digest is fixed, of what was chosen as well, and people may approve it.
func DecideRisk(s State, f RiskFacts) *releasev1.Event {
	switch {
	case len(blocking(f.Findings)) > 0:
		return &releasev1.Event{Data: &releasev1.Event_RiskRefused{RiskRefused: &releasev1.RiskRefused{Findings: f.Findings, Score: f.Score, Alerts: f.Alerts}}}
	case len(f.Holds) > 0:
		return &releasev1.Event{Data: &releasev1.Event_Held{Held: &releasev1.Held{
			Reasons: f.Holds, Until: timestamppb.New(f.Until), ZoneData: f.ZoneData, Alerts: f.Alerts,
		}}}
	}
	var remind *timestamppb.Timestamp
	if !f.RemindAt.IsZero() {
		remind = timestamppb.New(f.RemindAt)
	}
	_ = s.choose(f.Chosen) // The fold refuses the event where it may not.
	return &releasev1.Event{Data: &releasev1.Event_RiskCleared{RiskCleared: &releasev1.RiskCleared{
		RemindAt: remind, ChangeDigest: ChangeDigest(s), Quorum: f.Quorum, ApproveBy: timestamppb.New(f.ApproveBy),
		Findings: f.Findings, Bypassed: f.Bypassed, CalendarDigest: f.CalendarDigest, ZoneData: f.ZoneData, Score: f.Score, Alerts: f.Alerts,
		ApprovalsAnnounced: f.Announced, ApprovalsFollowed: f.Announced, Chosen: f.Chosen,
	}}}
}

func (s *State) applyChangePreviewed(e Entry, d *releasev1.ChangePreviewed) error {
	if err := s.expect(e, PhasePreview); err != nil {
		return err
	}
	if len(blocking(d.GetFindings())) > 0 {
		return s.invalid(e, "a finding is blocking")
	}
	var previewed []string
	for _, p := range d.GetPreviews() {
		if p.GetClass() == releasev1.DriverClass_DRIVER_CLASS_UNSPECIFIED {
			return s.invalid(e, "the class of the driver of "+p.GetTarget()+" is not named")
		}
		previewed = append(previewed, p.GetTarget())
	}
	if !slices.Equal(previewed, Targets(s.Request)) {
		return s.invalid(e, "targets are missing, added or out of order")
	}
	s.Previews = d.GetPreviews()
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	s.enter(PhaseRisk, e.Stored)
	return nil
}

func (s *State) applyPreviewRefused(e Entry, d *releasev1.PreviewRefused) error {
	if err := s.expect(e, PhasePreview); err != nil {
		return err
	}
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	s.end(releasev1.Outcome_OUTCOME_REJECTED, "", reasons("step 3", d.GetFindings()), e.Stored)
	return nil
}

func (s *State) applyRiskCleared(e Entry, d *releasev1.RiskCleared) error {
	if err := s.expect(e, PhaseRisk); err != nil {
		return err
	}
	if len(d.GetBypassed()) > 0 && !s.Emergency() {
		return s.invalid(e, "a control is bypassed without an emergency")
	}
	if len(blocking(d.GetFindings())) > 0 {
		return s.invalid(e, "a finding is blocking")
	}
	if why := s.choose(d.GetChosen()); why != "" {
		return s.invalid(e, why)
	}
	// Of what will run, and not of what was asked for.
	if want := ChangeDigest(*s); d.GetChangeDigest() != want {
		return s.invalid(e, "the change digest is not that of this change")
	}
	if !askable(d.GetQuorum()) {
		return s.invalid(e, "the quorum asks for nobody, or for more people than there are")
	}
	if d.GetApproveBy() == nil {
		return s.invalid(e, "no deadline for approvals")
	}
	s.ChangeDigest, s.Quorum, s.ApproveBy = d.GetChangeDigest(), d.GetQuorum(), d.GetApproveBy().AsTime()
	if d.GetRemindAt() != nil && d.GetRemindAt().AsTime().Before(s.ApproveBy) {
		s.RemindAt = d.GetRemindAt().AsTime()
	}
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	s.Bypassed = append(slices.Clip(s.Bypassed), d.GetBypassed()...)
	s.Holds, s.HeldUntil, s.HeldSince = nil, time.Time{}, time.Time{}
	s.Announced, s.Score = d.GetApprovalsAnnounced(), d.GetScore()
	s.ApprovalsFollowed = d.GetApprovalsFollowed()
	s.enter(PhaseApprove, e.Stored)
	return nil
}

func (s *State) applyHeld(e Entry, d *releasev1.Held) error {
	if err := s.expect(e, PhaseRisk); err != nil {
		return err
	}
	then := PhaseRisk
	for _, h := range d.GetReasons() {
		if h.GetRule() == HoldTargetBusy || h.GetRule() == HoldTargetChanged {
			// What was found out about the target is no longer true.
			then = PhaseScope
		}
	}
	return s.hold(e, d, then)
}

// applyStartHeld makes the start of a wave wait: what held at step 3 is looked at
// again under the locks of step 5 (PD-3.1).
func (s *State) applyStartHeld(e Entry, d *releasev1.Held) error {
	if err := s.expect(e, PhaseExecute); err != nil {
		return err
	}
	if err := s.hold(e, d, PhaseExecute); err != nil {
		return err
	}
	s.correctWait(d.GetReasons())
	return nil
}

func (s *State) hold(e Entry, d *releasev1.Held, then Phase) error {
	if len(d.GetReasons()) == 0 || d.GetUntil() == nil {
		return s.invalid(e, "a hold needs a reason and an end")
	}
	s.Holds, s.HeldUntil, s.HeldFor = d.GetReasons(), d.GetUntil().AsTime(), then
	// A wait whose end is known is looked at when it is over, and makes no other one longer.
	known := !slices.ContainsFunc(d.GetReasons(), func(h *releasev1.HoldReason) bool { return h.GetUntil() == nil })
	switch {
	case known:
		s.HeldSince = time.Time{}
	case s.HeldSince.IsZero():
		s.HeldSince = e.Stored
	}
	s.enter(PhaseHeld, e.Stored)
	return nil
}

func (s *State) applyRiskRefused(e Entry, d *releasev1.RiskRefused) error {
	if err := s.expect(e, PhaseRisk); err != nil {
		return err
	}
	s.Score = d.GetScore()
	s.Findings = append(slices.Clip(s.Findings), d.GetFindings()...)
	s.end(releasev1.Outcome_OUTCOME_REJECTED, "", reasons("step 3", d.GetFindings()), e.Stored)
	return nil
}
