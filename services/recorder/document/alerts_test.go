package document_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// The document shows what sources of alerts said when a start waited and when it was claimed.
func TestTheAlertsOfAStartAreInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseExecute)
	held := proceduretest.Hold("alert.firing", h.Now.Add(time.Hour))
	held.Alerts = []*releasev1.AlertAnswer{{Source: "alertmanager", Error: "not | in time"}}
	h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: held}})
	h.To(t, procedure.PhaseExecute)
	person, event := h.Good()
	event.GetExecutionClaimed().Alerts = []*releasev1.AlertAnswer{{
		Source: "alertmanager", Active: 7, Answer: &releasev1.EvidenceRef{Digest: proceduretest.Digest('5')},
		Began: timestamppb.New(time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)),
	}}
	h.Do(t, person, event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{"| a start that waits | `alertmanager` | not \\| in time |", "| a claim | `alertmanager` | 7 active", "what began since 2026-03-02 22:00:00", "alerts of alertmanager", proceduretest.Digest('5')} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
	if without := string(document.Build("x", nil).Markdown()); strings.Contains(without, "Sources of alerts") {
		t.Error("a document of nothing says that somebody was asked")
	}
}
