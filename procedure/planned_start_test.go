package procedure_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAPlannedStartIsApprovedAhead takes the spans of the example document: a release
// that is to start in five days is approved at once, and starts then.
func TestAPlannedStartIsApprovedAhead(t *testing.T) {
	const hours = time.Hour
	const startWithin, approvalValid = 168 * hours, 72 * hours
	planned := proceduretest.Start.Add(120 * hours)
	for _, test := range []struct {
		name       string
		startBy    time.Time
		start      time.Time
		counts     bool
		validUntil time.Time
	}{
		{"at its time", planned.Add(startWithin), planned, true, planned.Add(approvalValid)},
		{"at the last moment", planned.Add(startWithin), planned.Add(approvalValid - 1), true, planned.Add(approvalValid)},
		{"a moment later", planned.Add(startWithin), planned.Add(approvalValid), false, planned.Add(approvalValid)},
		{"not after the last time to start", planned.Add(hours), planned.Add(hours), false, planned.Add(hours)},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := proceduretest.New(proceduretest.Request(func(r *releasev1.Request) { r.NotBefore = timestamppb.New(planned) }))
			first := proceduretest.Requested(h.Asked, h.Now)
			first.GetRequested().StartBy = timestamppb.New(test.startBy)
			h.Do(t, "", first)
			h.To(t, procedure.PhaseApprove)
			for _, person := range []string{"anna", "ben"} {
				h.Do(t, person, proceduretest.Approval(h.State(), procedure.ValidUntil(h.State(), h.Now, approvalValid)))
			}
			h.Do(t, "", procedure.DecideAuthorize(h.State(), h.Now, approvalValid, time.Time{}))
			h.To(t, procedure.PhaseExecute)
			if got := h.State().Authorized.GetValidUntil().AsTime(); !got.Equal(test.validUntil) {
				t.Errorf("valid until %s, want %s", got, test.validUntil)
			}
			h.Do(t, "", &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold("not_before", planned)}})
			h.Advance(planned.Sub(h.Now) - h.Pace)
			h.Do(t, "", procedure.DecideDeadline(h.State(), planned))
			h.Advance(test.start.Sub(h.Now) - h.Pace)
			err := h.Append("", proceduretest.Claim(h.State(), "executor-1", h.Now))
			if (err == nil) != test.counts {
				t.Errorf("a claim at %s: %v", test.start, err)
			}
		})
	}
}
