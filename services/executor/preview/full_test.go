package preview_test

import (
	"errors"
	"testing"

	"github.com/blackdice/shipwarden/internal/eventstore/eventstoretest"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/executor/preview"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// TestAPreviewThatCannotBeKept is tried again for a planned release, and stops no emergency.
func TestAPreviewThatCannotBeKept(t *testing.T) {
	w := sitetest.New(t, sitetest.Noop("eu1"))
	w.Carries(t, "eu1", 1)
	planned, urgent := w.Release(t), w.Release(t, proceduretest.Emergency, proceduretest.Key("urgent"))
	planned.To(t, procedure.PhasePreview)
	urgent.To(t, procedure.PhasePreview)
	eventstoretest.Full(t, w)
	e := w.Executor(t, "one", nil)
	if _, err := e.Turn(t.Context(), preview.New(e.Site), planned.Task(t, 1)); !errors.Is(err, evidence.ErrFull) {
		t.Errorf("planned: %v", err)
	}
	if _, err := e.Turn(t.Context(), preview.New(e.Site), urgent.Task(t, 1)); err != nil {
		t.Fatal(err)
	}
	if s := urgent.State(t); s.Phase != procedure.PhaseRisk || s.UnkeptReason(s.Preview("eu1").GetDetail().GetDigest()) == "" || s.Preview("eu1").GetDetail().GetMediaType() != "" {
		t.Errorf("an emergency: in phase %s, not kept is %v", s.Phase, s.Unkept)
	}
}
