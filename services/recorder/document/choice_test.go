package document_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestWhatWasChosenIsInTheRecord, beside what was asked for, which stays as it was.
func TestWhatWasChosenIsInTheRecord(t *testing.T) {
	h := proceduretest.New(proceduretest.Request(func(r *releasev1.Request) { r.Validation.MayRaise = true }))
	h.To(t, procedure.PhaseRisk)
	h.Do(t, "", proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) {
		f.Chosen = &releasev1.Chosen{Bake: durationpb.New(30 * time.Minute)}
	}))
	h.To(t, procedure.PhaseClosed)
	r := document.Build(h.Release, messages(h))
	if got := r.Timings.PlannedBake; got != (30 * time.Minute).Milliseconds() {
		t.Errorf("planned are %d ms", got)
	}
	if !strings.Contains(string(r.Chosen), `"1800s"`) || !strings.Contains(string(r.Request), `"120s"`) {
		t.Errorf("chosen is %s, asked for was %s", r.Chosen, r.Request)
	}
	text := string(r.Markdown())
	for _, want := range []string{"over 30 min after each wave. The procedure chose that; 2 min were asked for, at least.", "Chosen by the procedure: a bake of 30m0s", "nothing speaks against it; chosen: a bake of 30m0s; change digest"} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
	h = proceduretest.New(proceduretest.Request(proceduretest.Waves([]string{"eu1", "us1"}), func(r *releasev1.Request) { r.Plan.MayDivide = true }))
	h.To(t, procedure.PhaseRisk)
	h.Do(t, "", proceduretest.Risk(h.State(), h.Now, func(f *procedure.RiskFacts) {
		f.Chosen = &releasev1.Chosen{Waves: []*releasev1.Wave{{Targets: []string{"eu1"}}, {Targets: []string{"us1"}}}}
	}))
	h.To(t, procedure.PhaseClosed)
	r = document.Build(h.Release, messages(h))
	if !strings.Contains(string(r.Targets[1]), `"wave":1`) {
		t.Errorf("the second target is %s", r.Targets[1])
	}
	text = string(r.Markdown())
	for _, want := range []string{"wave 1: eu1; wave 2: us1; so the procedure chose, and asked for were wave 1: eu1, us1", "waves of 1, 1 targets", "2 deployed, 2 of them validated"} {
		if !strings.Contains(text, want) {
			t.Errorf("the document does not say %q", want)
		}
	}
	plain := history(t, procedure.PhaseClosed)
	if b, err := document.Build(plain.Release, messages(plain)).JSON(); err != nil || strings.Contains(string(b), "chosen") {
		t.Errorf("of a release of which nothing was chosen it says so: %v", err)
	}
}
