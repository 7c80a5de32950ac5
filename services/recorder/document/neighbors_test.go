package document_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// The document shows what a start went past that other releases would have waited for.
func TestWhatAStartGoesPastIsInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseExecute)
	person, event := h.Good()
	event.GetExecutionClaimed().Findings = []*releasev1.Finding{{
		Rule: "incident.open", Severity: releasev1.Finding_SEVERITY_WARNING, Subject: "shop-other", Message: "release shop-other of the same service has an open incident",
	}}
	h.Do(t, person, event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{"which did not wait for it:", "| `incident.open` |", "release shop-other of the same service has an open incident"} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
}
