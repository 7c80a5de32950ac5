package document_test

import (
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhatWasToChangeIsInTheDocument: by a plan, and by the tool of a target.
func TestWhatWasToChangeIsInTheDocument(t *testing.T) {
	h := history(t, procedure.PhaseScope)
	person, event := h.Good()
	event.GetScopeValidated().GetArtifacts()[0].Plan = &releasev1.PlanChanges{Delete: 1, Changes: []*releasev1.ResourceChange{
		{Action: releasev1.ResourceChange_ACTION_DELETE, Address: "shop_db.main|x"},
	}}
	h.Do(t, person, event)
	person, event = h.Good()
	event.GetChangePreviewed().GetPreviews()[0].DiffDigest = proceduretest.Digest('7')
	h.Do(t, person, event)
	text := string(document.Build(h.Release, messages(h)).Markdown())
	for _, want := range []string{
		"0 to update, 1 to destroy", "which attributes change it does not say", `| delete | shop_db.main\|x |`, "what its own tool printed", proceduretest.Digest('7'),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
}
