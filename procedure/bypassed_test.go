package procedure_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhatAStartGoesAroundIsOnRecord: an emergency was authorized before a freeze was
// declared, and lists both what it went around then and what it goes around now.
func TestWhatAStartGoesAroundIsOnRecord(t *testing.T) {
	claim := func(h *proceduretest.History) *releasev1.Event {
		e := proceduretest.Claim(h.State(), "executor-1", h.Now)
		e.GetExecutionClaimed().Bypassed = []string{"freeze outage", "freeze"}
		return e
	}
	h := proceduretest.New(proceduretest.Request(proceduretest.Emergency))
	h.To(t, procedure.PhaseExecute)
	before := h.State().Bypassed
	h.Do(t, "", claim(h))
	if got := h.State().Bypassed; !slices.Equal(got, append(slices.Clone(before), "freeze outage")) || !slices.Contains(before, "freeze") {
		t.Errorf("bypassed %q, before %q", got, before)
	}
	planned := proceduretest.New(proceduretest.Request())
	planned.To(t, procedure.PhaseExecute)
	if err := planned.Append("", claim(planned)); err == nil || !strings.Contains(err.Error(), "without an emergency") {
		t.Errorf("a planned release went around a freeze: %v", err)
	}
}
