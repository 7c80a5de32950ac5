package document_test

import (
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhatTheProcedureSaysOfAFailureIsInTheDocument, with what was seen beside the release.
func TestWhatTheProcedureSaysOfAFailureIsInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseVerify)
	s := h.State()
	var beside []string
	for _, target := range procedure.Targets(s.Request) {
		if s.Result(target) == nil {
			beside = append(beside, target)
		}
	}
	event := proceduretest.Prescribed(s, proceduretest.Verified(s, releasev1.CheckResult_VERDICT_FAIL, false), proceduretest.Ask(15*time.Minute, releasev1.Remedy_ACTION_ROLL_BACK))
	proceduretest.Beside(event, releasev1.CheckResult_VERDICT_PASS, beside...)
	event.GetVerificationFailed().GetVerification().GetBeside().Samples = &releasev1.EvidenceRef{Digest: proceduretest.Digest('e'), Name: "samples", MediaType: "application/json"}
	h.Do(t, "", event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{
		"### What the procedure says of it", "| ask | ask | owner | 15 min | roll back |", "| roll back |",
		"What failed was looked for on targets that the release has not touched.", "eeeeeeeeeeee",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
