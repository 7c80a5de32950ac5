package authorize

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// where is how the core begins a refusal: with the event and the phase.
var where = regexp.MustCompile(`^[a-z_]+ in phase [a-z_]*: `)

// inWords tells why an event would not count the way people speak, and what they can
// do instead. Other errors are left as they are.
func (d desk) inWords(event *releasev1.Event, err error) error {
	if !errors.Is(err, procedure.ErrInvalidTransition) {
		return err
	}
	why := plain(err)
	switch {
	case strings.HasSuffix(why, "does not belong here"):
		why = stands(d.state)
	case event.GetIntervened() != nil && strings.HasSuffix(why, "is not possible here"):
		action := strings.TrimPrefix(event.GetIntervened().GetAction().String(), "ACTION_")
		why = strings.ReplaceAll(strings.ToLower(action), "_", " ") + " is not possible: " + stands(d.state)
	}
	now := slices.DeleteFunc(procedure.Actions(d.state), func(a string) bool {
		return a == "sign-off" && len(procedure.Answerable(d.state, d.now)) == 0
	})
	if len(now) > 0 {
		return precondition("%s; possible now: %s", why, strings.Join(now, ", "))
	}
	return precondition("%s; nothing can be decided now", why)
}

// plain takes the words that are made for developers off a refusal of the core.
func plain(err error) string {
	text := strings.TrimPrefix(err.Error(), procedure.ErrInvalidTransition.Error()+": ")
	return where.ReplaceAllString(text, "")
}

// stands says where a release is, as far as that forbids something.
func stands(s procedure.State) string {
	switch {
	case s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED:
		return "the release is over"
	case s.Phase == procedure.PhaseEscalated:
		return "the release waits for a person to decide how it goes on"
	case s.Started():
		return "execution has begun"
	}
	return "execution has not begun"
}
