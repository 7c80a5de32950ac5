package procedure_test

import (
	"errors"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestOnlyWhatMustNotBeLeftUndoneIsJudgedByAnotherDocument: of other decisions a person of another
// document counts for nothing, and neither does a name that is no digest. Events that name none, and
// those that name the release's own, fold as they did.
func TestOnlyWhatMustNotBeLeftUndoneIsJudgedByAnotherDocument(t *testing.T) {
	by := func(person, document string) *releasev1.Actor {
		a := proceduretest.Person(person)
		a.ProcedureDigest = document
		return a
	}
	for name, c := range map[string]struct {
		document string
		closes   bool
	}{
		"none": {"", true}, "its own": {proceduretest.ProcedureDigest, true}, "another": {proceduretest.Digest('9'), true}, "no digest": {"2.0", false},
	} {
		h := goneBack(t, false)
		err := h.Store(h.Next(by("mallory", c.document), proceduretest.CloseIncident(h.State())))
		if (err == nil) != c.closes || len(procedure.Unclosed(h.State())) == 0 != c.closes || err != nil && !errors.Is(err, procedure.ErrProcedure) {
			t.Errorf("%s: %v, open of %v", name, err, procedure.Unclosed(h.State()))
		}
	}
	for document, counts := range map[string]bool{"": true, proceduretest.ProcedureDigest: true, proceduretest.Digest('9'): false} {
		h := proceduretest.New(proceduretest.Request())
		h.To(t, procedure.PhaseApprove)
		err := h.Store(h.Next(by("anna", document), proceduretest.Approval(h.State(), h.Now.Add(1<<40))))
		if (err == nil) != counts || err != nil && !errors.Is(err, procedure.ErrProcedure) {
			t.Errorf("an approval judged by %q: %v", document, err)
		}
	}
}
