package show

import (
	"fmt"
	"io"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// Quarantines writes artifacts in quarantine as a table; wide gives every reason a row.
func Quarantines(w io.Writer, all []*recorderv1.QuarantinedArtifact, wide bool) error {
	if wide {
		t := terminal.NewTable("DIGEST", "STATUS", "SINCE", "RELEASE", "SERVICE", "ENVIRONMENT", "VERSION", "REQUESTER", "OWNER", "WHY")
		for _, a := range all {
			if len(a.GetState().GetReasons()) == 0 {
				t.Add(a.GetState().GetDigest(), standing(a), terminal.Time(a.GetTime()), "", "", "", "", "", "", sentence(a))
			}
			for _, r := range a.GetState().GetReasons() {
				t.Add(a.GetState().GetDigest(), standing(a), terminal.Time(r.GetTime()), r.GetRelease(), r.GetService(), r.GetEnvironment(),
					r.GetVersion(), r.GetRequester(), r.GetOwner(), r.GetReason())
			}
		}
		return t.Write(w)
	}
	t := terminal.NewTable("DIGEST", "STATUS", "SINCE", "RELEASE", "WHY")
	for _, a := range all {
		since, release, why := terminal.Time(a.GetTime()), "", sentence(a)
		if r := a.GetState().GetReasons(); len(r) > 0 {
			since, release, why = terminal.Time(r[0].GetTime()), r[0].GetRelease(), r[0].GetReason()
		}
		t.Add(a.GetState().GetDigest(), standing(a), since, release, why)
	}
	return t.Write(w)
}

// Standing is what an artifact stands at, in sentences: who put it there, when and why,
// and who asked for it to be let out.
func Standing(a *recorderv1.QuarantinedArtifact) string {
	out := sentence(a)
	if c := a.GetState().GetClearance(); a.GetHeld() && c.GetProposedBy() != "" {
		out += fmt.Sprintf("\n%s asked for it to be let out: %s", c.GetProposedBy(), c.GetReason())
	}
	return out
}

func sentence(a *recorderv1.QuarantinedArtifact) string {
	return procedure.Quarantined{State: a.GetState(), Held: a.GetHeld()}.Sentence()
}

func standing(a *recorderv1.QuarantinedArtifact) string {
	switch c := a.GetState().GetClearance(); {
	case !a.GetHeld():
		return "let out by " + c.GetConfirmedBy()
	case c.GetProposedBy() != "":
		return "asked for by " + c.GetProposedBy()
	}
	return "held"
}
