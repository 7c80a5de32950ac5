package view

import (
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// FollowUps is what is to be done after a release, as clients see it, in the order of
// agreeing (PD-8.1).
func FollowUps(s procedure.State) []*recorderv1.FollowUpAction {
	var all []*recorderv1.FollowUpAction
	for _, f := range s.FollowUps {
		a := &recorderv1.FollowUpAction{Number: f.Number, FollowUp: f.What, AddedBy: f.AddedBy, Added: stamp(f.Added)}
		if f.ClosedBy != "" {
			a.ClosedBy, a.Closed, a.Comment = f.ClosedBy, stamp(f.Closed), f.Comment
		}
		all = append(all, a)
	}
	return all
}
