package procedure

import (
	"slices"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Urgent reports whether the release is one that does not wait for what only documents it:
// an emergency, or the way back from another release. Where the evidence store is full,
// it goes on, and its events say what they rest on and is not there (PD-A.5, PD-6.2).
func (s State) Urgent() bool { return s.Emergency() || s.isRollback() }

// keepUnkept takes in what an event says of evidence that could not be kept. Nothing lets a
// planned release go on that nobody can look at afterwards: such an event counts only where
// the release is urgent, or where it lets nothing pass. What it says of production, of
// people who were told and of a way back stands whether or not its evidence does.
func (s *State) keepUnkept(e Entry) error {
	unkept := e.Event.GetUnkept()
	if len(unkept) == 0 {
		return nil
	}
	asked := State{Request: s.Request}
	if s.Phase == PhaseNone {
		asked.Request = e.Event.GetRequested().GetRequest()
	}
	if !asked.Urgent() && LetsPass(e.Event) {
		return s.invalid(e, "a planned release does not go on by evidence that is not kept")
	}
	out := slices.Clip(s.Unkept)
	for _, u := range unkept {
		if u.GetDigest() == "" || u.GetReason() == "" {
			return s.invalid(e, "evidence that is not kept has no digest or no reason")
		}
		if !slices.ContainsFunc(out, named(u.GetDigest())) {
			out = append(out, u)
		}
	}
	s.Unkept = out
	return nil
}

// LetsPass reports whether an event lets a release get further. Of what is not listed it
// does: a kind of event that is new has to be thought about.
func LetsPass(e *releasev1.Event) bool {
	switch d := e.GetData().(type) {
	case *releasev1.Event_GatesRefused, *releasev1.Event_GatesHeld, *releasev1.Event_PreviewRefused,
		*releasev1.Event_Held, *releasev1.Event_RiskRefused, *releasev1.Event_StartHeld, *releasev1.Event_ExecutionRefused:
		return false
	case *releasev1.Event_Notified:
		return false
	case *releasev1.Event_ExecutionFinished, *releasev1.Event_ExecutionFailed, *releasev1.Event_ExecutionUnknown,
		*releasev1.Event_RolledBack, *releasev1.Event_RollbackFailed, *releasev1.Event_TargetsReleased:
		return false // what happened to production happened
	case *releasev1.Event_VerificationFailed, *releasev1.Event_VerificationInconclusive, *releasev1.Event_VerificationRevoked:
		return false
	case *releasev1.Event_Reverified:
		return !d.Reverified.GetInconclusive()
	case *releasev1.Event_VerificationPassed:
		return !d.VerificationPassed.GetVerification().GetRollback()
	}
	return true
}

// UnkeptReason is why a piece of evidence could not be kept; empty where nothing says so.
func (s State) UnkeptReason(digest string) string {
	for _, u := range s.Unkept {
		if u.GetDigest() == digest {
			return u.GetReason()
		}
	}
	return ""
}
