package document_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// What could not be kept is among the deviations, with its digest and the reason.
func TestWhatCouldNotBeKeptIsInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseNotify)
	person, event := h.Good()
	event.Unkept = []*releasev1.UnkeptEvidence{{Digest: proceduretest.Digest('5'), Name: "notice of the start", Reason: "the evidence store is full"}}
	h.Do(t, person, event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{"not kept as evidence: notice of the start", proceduretest.Digest('5'), "the evidence store is full"} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
}
