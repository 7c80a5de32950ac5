package view

import (
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// signOffs are the checks of the verification under way that people are asked, with their answers.
func signOffs(s procedure.State) (all []*recorderv1.SignOff) {
	for _, o := range s.SignOffs {
		one := &recorderv1.SignOff{Check: o.Check, Question: o.Question, Groups: o.Groups, Until: stamp(o.Until)}
		if o.Answer != nil {
			one.Person, one.Passed = o.Answer.Person, o.Answer.Passed
		}
		all = append(all, one)
	}
	return all
}

// late reports whether a check was not answered by that time, and cannot be any more.
func late(o *recorderv1.SignOff, at time.Time) bool {
	return o.GetPerson() == "" && !at.Before(o.GetUntil().AsTime())
}

// unanswered says which checks people are still waited for at that time, and which it is too late for.
func unanswered(all []*recorderv1.SignOff, at time.Time) (out string) {
	var open, over []string
	for _, o := range all {
		said := o.GetCheck() + " by " + strings.Join(o.GetGroups(), " or ") + " until " + o.GetUntil().AsTime().UTC().Format(time.RFC3339)
		switch {
		case o.GetPerson() != "":
		case late(o, at):
			over = append(over, said)
		default:
			open = append(open, said)
		}
	}
	if len(open) > 0 {
		out = ", and waits to be signed off: " + strings.Join(open, ", ")
	}
	if len(over) > 0 {
		out += ", and was not signed off in time: " + strings.Join(over, ", ")
	}
	return out
}

// AsOf corrects what a release says of checks that people are asked by the time at which somebody asks:
// no event says that it is too late to answer.
func AsOf(r *recorderv1.Release, now time.Time) {
	if !slices.ContainsFunc(r.GetSignOffs(), func(o *recorderv1.SignOff) bool { return late(o, now) }) {
		return
	}
	r.Summary = strings.Replace(r.GetSummary(), unanswered(r.GetSignOffs(), time.Time{}), unanswered(r.GetSignOffs(), now), 1)
	if !slices.ContainsFunc(r.GetSignOffs(), func(o *recorderv1.SignOff) bool { return o.GetPerson() == "" && !late(o, now) }) {
		r.Actions = slices.DeleteFunc(r.GetActions(), func(a string) bool { return a == "sign-off" })
	}
}

// Lapses is when it is too late next to answer a check that nobody has answered; zero where none is.
func Lapses(r *recorderv1.Release, now time.Time) (next time.Time) {
	for _, o := range r.GetSignOffs() {
		if until := o.GetUntil().AsTime(); o.GetPerson() == "" && !late(o, now) && (next.IsZero() || until.Before(next)) {
			next = until
		}
	}
	return next
}
