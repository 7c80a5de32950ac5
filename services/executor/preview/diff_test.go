package preview_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestWhatATargetsOwnToolSaysIsShownAndApproved: it is kept as evidence, named in the preview,
// and a part of the change that people approve.
func TestWhatATargetsOwnToolSaysIsShownAndApproved(t *testing.T) {
	w := sitetest.New(t, sitetest.Asking("eu1"))
	w.Earlier(t, "eu1", 1)
	w.Says(t, "eu1", "+ replicas: 4\n1 to change", "room for both versions")
	s := previewed(t, w, w.Release(t))
	p := s.Preview("eu1")
	const said = "+ replicas: 4\n1 to change\n"
	if p.GetDiffDigest() != fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(said))) || !strings.Contains(p.GetSummary(), "its preview ends with: 1 to change") {
		t.Errorf("in phase %s: %v", s.Phase, p)
	}
	detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
	if err != nil || !p.GetRollback().GetPossible() || !strings.Contains(string(detail), "what its dry run printed\nroom for both versions") ||
		!strings.HasSuffix(string(detail), "what its own tool printed\n"+said) {
		t.Errorf("the way back: %v; %q, %v", p.GetRollback(), detail, err)
	}
	other := s
	other.Previews = []*releasev1.TargetPreview{proto.CloneOf(p)}
	other.Previews[0].DiffDigest = sitetest.DigestOf(3)
	if procedure.ChangeDigest(s) == procedure.ChangeDigest(other) {
		t.Error("what the tool said is no part of what is approved")
	}
	if len(w.Starts(t, "eu1")) != 1 {
		t.Error("asking changed something")
	}
}

// TestAToolThatGivesNoAnswerRefusesWhatCanWait, and an emergency goes on without, called out.
func TestAToolThatGivesNoAnswerRefusesWhatCanWait(t *testing.T) {
	for _, test := range []struct{ name, preview, back, why string }{
		{"it fails", "no cluster\nfail", "fine", "exit status 3: command failed: no cluster"},
		{"it says two things", "as of\npid", "fine", "asked twice"},
		{"its way back fails", "1 to change", "no room\nfail", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Asking("eu1"), sitetest.Asking("eu2"))
			w.Earlier(t, "eu1", 1)
			w.Says(t, "eu1", test.preview, test.back)
			w.Says(t, "eu2", test.preview, test.back)
			s := previewed(t, w, w.Release(t))
			if test.why == "" {
				if b := back(t, w, s); s.Phase != procedure.PhaseRisk || !strings.Contains(b.Why, "says no: ") || !strings.Contains(b.Why, "no room") {
					t.Errorf("in phase %s, %s: %+v", s.Phase, s.EndReason, b)
				}
				return
			}
			if s.Outcome != releasev1.Outcome_OUTCOME_REJECTED || !strings.Contains(s.EndReason, test.why) {
				t.Errorf("in phase %s: %s", s.Phase, s.EndReason)
			}
			s = previewed(t, w, w.Release(t, proceduretest.Emergency, proceduretest.Key("urgent"), proceduretest.Waves([]string{"eu1", "eu2"})))
			if s.Phase != procedure.PhaseRisk || s.Preview("eu1").GetDiffDigest() != "" || len(s.Findings) != 1 ||
				s.Findings[0].GetSeverity() != releasev1.Finding_SEVERITY_WARNING || !strings.Contains(s.Findings[0].GetMessage(), test.why) || !strings.Contains(s.Findings[0].GetMessage(), "here and on 1 more: ") {
				t.Errorf("an emergency: in phase %s, %s: %v", s.Phase, s.EndReason, s.Findings)
			}
		})
	}
}

// asked is a target at which somebody else is at work for so many questions.
type asked struct {
	driver.Driver

	busy, times int
}

func (a *asked) Diff(ctx context.Context, plan driver.Plan) (driver.Diff, error) {
	if a.times++; a.times <= a.busy {
		return driver.Diff{Asked: true, Failed: "somebody else has the lock", Busy: true}, nil
	}
	return a.Driver.Diff(ctx, plan)
}

// TestATargetAtWhichSomebodyElseIsAtWorkIsAskedAgain, and not for ever; an emergency does not wait.
func TestATargetAtWhichSomebodyElseIsAtWorkIsAskedAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		busy      int
		emergency bool
		want      procedure.Phase
		times     int
	}{
		{"for a moment", 2, false, procedure.PhaseRisk, 4},
		{"not at all", 0, false, procedure.PhaseRisk, 2},
		{"for ever", 1000, false, procedure.PhaseClosed, 8},
		{"in an emergency", 1000, true, procedure.PhaseRisk, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := sitetest.New(t, sitetest.Asking("eu1"))
			w.Earlier(t, "eu1", 1)
			w.Says(t, "eu1", "1 to change", "fine")
			change := []func(*releasev1.Request){}
			if test.emergency {
				change = append(change, proceduretest.Emergency)
			}
			r := w.Release(t, change...)
			r.To(t, procedure.PhasePreview)
			e := w.Executor(t, "one", nil)
			target := &asked{Driver: e.Drivers["eu1"], busy: test.busy}
			e.Drivers["eu1"] = target
			for delivery := 1; r.State(t).Phase == procedure.PhasePreview && delivery < 20; delivery++ {
				if _, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, delivery)); err != nil && !errors.Is(err, driver.ErrBusy) {
					t.Fatal(err)
				}
			}
			s := r.State(t)
			if rejected := s.Outcome == releasev1.Outcome_OUTCOME_REJECTED; rejected != (test.want == procedure.PhaseClosed) || !rejected && s.Phase != test.want || target.times != test.times {
				t.Errorf("in phase %s (%s) after %d questions, want %s after %d", s.Phase, s.EndReason, target.times, test.want, test.times)
			}
		})
	}
}
