package changerecord

import (
	"fmt"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Words for the record: what a change record makes a start wait for, or refuses.
const (
	RuleRecord  = "change_record"
	RuleWindow  = "change_record.window"
	RuleUnknown = "change_record.unknown"
)

// Hold is what a result makes a start of that request wait for: until its window begins, or
// until it is known; nil for nothing.
func (r Result) Hold(request *releasev1.Request) *releasev1.HoldReason {
	switch {
	case r.Unknown != nil:
		return &releasev1.HoldReason{Rule: RuleUnknown, Subject: r.Rule.GetName(), Message: r.Unknown.Error()}
	case r.Why == "" && !r.From.IsZero():
		return &releasev1.HoldReason{
			Rule: RuleWindow, Subject: r.Rule.GetName(), Until: r.Reading.GetWindowStart(),
			Message: fmt.Sprintf("the window of change record %s begins %s", request.GetChangeRecord().GetId(), r.From.UTC().Format(time.RFC3339)),
		}
	}
	return nil
}
