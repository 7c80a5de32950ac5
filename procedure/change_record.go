package procedure

import (
	"fmt"
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// RecordDemand is what a rule of the procedure document demands of a change record (PD-0.3,
// PD-1.1).
type RecordDemand struct {
	// ID is the record that the request names.
	ID string
	// States are those in which the change may be implemented.
	States []string
	// Service is what the record calls the service that is released.
	Service string
	// Window and OfService say that the record must have a window, and name the service.
	Window, OfService bool
}

// JudgeRecord says whether a release may start under the change record at that time: why not,
// or from when on, where its window has not begun. The window is from its start up to but not
// including its end. A record that says nothing of a thing that is not demanded lets it pass.
func JudgeRecord(demand RecordDemand, r *releasev1.RecordReading, at time.Time) (why string, from time.Time) {
	start, end := r.GetWindowStart(), r.GetWindowEnd()
	switch {
	case r == nil:
		return fmt.Sprintf("there is no change record %s", demand.ID), time.Time{}
	case r.GetId() != demand.ID:
		return fmt.Sprintf("the answer is about %q, not about %s", r.GetId(), demand.ID), time.Time{}
	case !slices.Contains(demand.States, r.GetState()):
		return fmt.Sprintf("change record %s is in state %q, and must be in %s", demand.ID, r.GetState(), strings.Join(demand.States, ", ")), time.Time{}
	case r.GetService() == "" && demand.OfService:
		return fmt.Sprintf("change record %s does not say which service it is about", demand.ID), time.Time{}
	case r.GetService() != "" && r.GetService() != demand.Service:
		return fmt.Sprintf("change record %s is about %q, not about %s", demand.ID, r.GetService(), demand.Service), time.Time{}
	case demand.Window && (start == nil || end == nil):
		return fmt.Sprintf("change record %s has no window", demand.ID), time.Time{}
	case start != nil && end != nil && !start.AsTime().Before(end.AsTime()):
		return fmt.Sprintf("the window of change record %s ends before it begins", demand.ID), time.Time{}
	case end != nil && !at.Before(end.AsTime()):
		return fmt.Sprintf("the window of change record %s ended %s", demand.ID, end.AsTime().UTC().Format(time.RFC3339)), time.Time{}
	case start != nil && at.Before(start.AsTime()):
		return "", start.AsTime()
	}
	return "", time.Time{}
}
