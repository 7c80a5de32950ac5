package preview_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

func TestMain(m *testing.M) { sitetest.Main(m, execute.New) }

func TestThePreviewSaysWhatWouldChangeAndWhatCouldBeUndone(t *testing.T) {
	w := sitetest.New(t, sitetest.Host("eu1"), sitetest.Noop("eu2"), sitetest.Command("eu3"))
	w.Carries(t, "eu1", 1)
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2"}, []string{"eu3"}))
	r.To(t, procedure.PhasePreview)
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	s := r.State(t)
	if s.Phase != procedure.PhaseRisk {
		t.Fatalf("in phase %s: %s", s.Phase, s.EndReason)
	}
	for target, want := range map[string]struct {
		class releasev1.DriverClass
		back  string
	}{
		"eu1": {releasev1.DriverClass_DRIVER_CLASS_FENCED, sitetest.DigestOf(1)},
		"eu2": {releasev1.DriverClass_DRIVER_CLASS_FENCED, ""},
		"eu3": {releasev1.DriverClass_DRIVER_CLASS_OPAQUE, ""},
	} {
		p := s.Preview(target)
		if p.GetClass() != want.class || p.GetRollbackDigest() != want.back || p.GetRollbackReady() != (want.back != "") || p.GetRollbackReason() == "" || p.GetSummary() == "" {
			t.Errorf("target %s: %v", target, p)
		}
		detail, err := evidence.New(w.JetStream()).Get(t.Context(), p.GetDetail().GetDigest())
		if err != nil || len(detail) == 0 {
			t.Errorf("target %s: detail %q, %v", target, detail, err)
		}
	}
	if w.Running(t, "eu1") != 1 || len(w.Effects(t, "eu1", r.ID)) != 0 || len(w.Starts(t, "eu3")) != 0 {
		t.Error("the preview changed something")
	}
}

func TestWhatCannotBePreviewedIsRefusedWithEveryReason(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"), sitetest.Host("eu2"))
	r := w.Release(t, proceduretest.Waves([]string{"eu1", "eu2", "eu9"}))
	r.To(t, procedure.PhasePreview)
	if err := os.WriteFile(filepath.Join(w.Artifacts(), sitetest.Location(2)), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	events, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1))
	if err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	found := map[string]string{}
	for _, f := range events[0].GetPreviewRefused().GetFindings() {
		found[f.GetSubject()] = f.GetMessage()
	}
	for target, why := range map[string]string{"eu1": artifact.ErrDigest.Error(), "eu2": artifact.ErrDigest.Error(), "eu9": "no driver"} {
		if !strings.Contains(found[target], why) {
			t.Errorf("target %s: %q, want %q", target, found[target], why)
		}
	}
	if s := r.State(t); s.Outcome != releasev1.Outcome_OUTCOME_REJECTED {
		t.Errorf("outcome %s", s.Outcome)
	}
}

func TestARegistryThatIsDownRefusesNothing(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	r := w.Release(t)
	r.To(t, procedure.PhasePreview)
	if err := os.Rename(w.Artifacts(), w.Artifacts()+".away"); err != nil {
		t.Fatal(err)
	}
	e := w.Executor(t, "one", nil)
	if events, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1)); !errors.Is(err, artifact.ErrUnavailable) || events != nil {
		t.Errorf("%v, %v", events, err)
	}
}

// TestACommandThatCouldNeverBeginIsRefused: it needs all of its time before the claim's
// deadline, and the procedure gives less.
func TestACommandThatCouldNeverBeginIsRefused(t *testing.T) {
	w := sitetest.New(t, sitetest.Command("eu1"))
	r := w.Release(t)
	r.Execute = sitetest.CommandTime
	r.To(t, procedure.PhasePreview)
	e := w.Executor(t, "one", nil)
	events, err := e.Turn(t.Context(), preview.New(e.Site), r.Task(t, 1))
	if err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	if f := events[0].GetPreviewRefused().GetFindings(); len(f) != 1 || !strings.Contains(f[0].GetMessage(), "the procedure document gives an execution 5s") {
		t.Errorf("findings %v", f)
	}
}
