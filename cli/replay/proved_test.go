package replay_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/verdict"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// prove judges the evidence again at a start, as the executor does; of before that was done
// it does nothing. It returns the refusal of what does not count any more.
func (g *generator) prove(x *releasev1.ExecutionClaimed, now time.Time) *releasev1.Event {
	s := g.State()
	if g.old || s.Phase != procedure.PhaseExecute {
		return nil
	}
	trust := verdict.Trust{Index: g.index}
	var err error
	if trust.Root, err = sigstore.ParseRoot(g.kept[g.index.Document().GetSigstore().GetTrustedRoot()]); err != nil {
		g.t.Fatal(err)
	}
	var envelopes [][]byte
	for _, ref := range append(s.Evidence(), s.Confirmed.GetFound()...) {
		envelopes = append(envelopes, g.kept[ref.GetDigest()])
	}
	fallen, around := verdict.Again(s, envelopes, verdict.At(s, now), trust)
	if len(fallen) > 0 && !g.forced {
		return &releasev1.Event{Data: &releasev1.Event_ExecutionRefused{ExecutionRefused: &releasev1.ExecutionRefused{Findings: []*releasev1.Finding{{
			Rule: "evidence.outdated", Severity: releasev1.Finding_SEVERITY_BLOCKING, Subject: fallen[0].GetGate(), Message: fallen[0].GetReason(),
		}}}}}
	}
	x.TrustedBy = g.digest
	for _, v := range around {
		x.Bypassed = append(x.GetBypassed(), procedure.GateBypass(v.GetGate()))
		x.Findings = append(x.GetFindings(), &releasev1.Finding{
			Rule: "evidence.outdated", Severity: releasev1.Finding_SEVERITY_WARNING, Subject: v.GetGate(), Message: v.GetReason(),
		})
	}
	return nil
}

// TestAStartIsJudgedAgainByItsEvidence: that it still counted follows from what is kept. A
// claim by which it did not, or by another document, is told; one of before it was looked at
// says so.
func TestAStartIsJudgedAgainByItsEvidence(t *testing.T) {
	w := newWorld(t)
	said := map[string]int{}
	for seed := range uint64(15) {
		for name, lie := range map[string]func(*releasev1.Event){
			"": nil,
			"a document that nobody has": func(e *releasev1.Event) {
				if x := e.GetExecutionClaimed(); x.GetTrustedBy() != "" {
					x.TrustedBy = "sha256:" + strings.Repeat("0", 64)
				}
			},
			"of before": func(e *releasev1.Event) {
				if x := e.GetExecutionClaimed(); x != nil {
					x.TrustedBy = ""
				}
			},
		} {
			g := w.release(t, seed, func(g *generator) { g.lie = lie })
			report, err := replay.New(envelopetest.Ring(), w.kept.Get).Release(t.Context(), g.Release, g.messages)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range report.Decisions {
				if d.Type != "execution_claimed" {
					continue
				}
				text := d.Detail + "; " + strings.Join(d.Taken, "; ")
				switch {
				case name == "" && strings.Contains(text, "that its evidence still counted"), name == "of before" && strings.Contains(text, "whether the evidence of its gates still counted, which is not on record"),
					name == "a document that nobody has" && d.Result == replay.Differs:
					said[name]++
				default:
					t.Errorf("seed %d, %s: %v %s", seed, name, d.Result, text)
				}
			}
		}
	}
	for _, name := range []string{"", "a document that nobody has", "of before"} {
		if said[name] < 5 {
			t.Errorf("%q: %d claims", name, said[name])
		}
	}
}

// TestAClaimThatItsEvidenceForbidsIsTold: by the clock value that it was decided by, the
// evidence was too old.
func TestAClaimThatItsEvidenceForbidsIsTold(t *testing.T) {
	w, told := newWorld(t), 0
	for seed := range uint64(25) {
		g := w.release(t, seed)
		if !slices.ContainsFunc(g.messages, func(m *recorderv1.RecordedEvent) bool { return m.GetEvent().GetExecutionRefused() != nil }) {
			continue
		}
		forged := w.release(t, seed, func(f *generator) { f.forced = true })
		report, err := replay.New(envelopetest.Ring(), w.kept.Get).Release(t.Context(), forged.Release, forged.messages)
		if err != nil {
			t.Fatal(err)
		}
		if report.OK() || !slices.ContainsFunc(report.Decisions, func(d replay.Decision) bool {
			return d.Type == "execution_claimed" && d.Result == replay.Differs && strings.Contains(d.Detail, "the start should have been refused: gate tests")
		}) {
			t.Errorf("seed %d: %+v", seed, report)
		}
		told++
	}
	if told == 0 {
		t.Error("none of the releases was refused")
	}
}
