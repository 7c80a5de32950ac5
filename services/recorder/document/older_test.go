package document_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhichStatementProvedAGateIsInTheDocument where it was one of in-toto v0.1.
func TestWhichStatementProvedAGateIsInTheDocument(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseGates)
	person, event := h.Good()
	verdicts := event.GetGatesConfirmed().GetVerdicts()
	verdicts[0].Evidence = []string{proceduretest.Digest('d'), proceduretest.Digest('e')}
	verdicts[0].Older = verdicts[0].GetEvidence()[:1]
	h.Do(t, person, event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	if n := strings.Count(text, " (in-toto Statement v0.1), "); n != 1 || strings.Count(text, "Statement v0.1") != 1 {
		t.Errorf("the document says of %d pieces that they are older statements:\n%s", n, text)
	}
}
