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

// The document shows what the change record said when the wave was claimed, with the digest
// of the answer.
func TestTheChangeRecordOfAStartIsInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseExecute)
	person, event := h.Good()
	event.GetExecutionClaimed().ChangeRecords = []*releasev1.RecordReading{{
		Rule: "change-record", Id: "CHG-1042", State: "Imple|menting", Digest: proceduretest.Digest('5'),
		WindowEnd: timestamppb.New(time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC)),
	}}
	h.Do(t, person, event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{"| `change-record` | `CHG-1042` | Imple\\|menting | – to 2026-03-02 22:00:00", "answer about a change record", proceduretest.Digest('5')} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
	if without := string(document.Build("x", nil).Markdown()); strings.Contains(without, "change record was looked up") {
		t.Error("a document of nothing says that something was looked up")
	}
}
