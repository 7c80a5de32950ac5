package envelope

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// tokenPattern is what may stand for an aggregate's name in a subject. A dot, a
// wildcard, a space or a dollar sign would move the event to another aggregate.
var tokenPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,126}$`)

// kinds are the first tokens of aggregates, and what may follow each.
var kinds = map[string]func(string) bool{
	"rel": procedure.ValidRelease,
	"tgt": procedure.ValidTarget,
	"svc": tokenPattern.MatchString,
	"pol": tokenPattern.MatchString,
	"req": tokenPattern.MatchString,
	"art": procedure.ValidArtifact,
}

// CheckAggregate returns nil for the name of an aggregate, such as
// "rel.shop-k7q2m3xw5d8ta4bc", and an error that wraps ErrSubject for anything
// else. No subject may be built from a name that was not checked.
func CheckAggregate(aggregate string) error {
	kind, name, _ := strings.Cut(aggregate, ".")
	if valid := kinds[kind]; valid == nil || !valid(name) {
		return fmt.Errorf("aggregate %q: %w", aggregate, ErrSubject)
	}
	return nil
}

// Subject is where the event belongs: its aggregate, its writer and its type.
func Subject(e *releasev1.Event) string {
	return e.GetAggregate() + "." + e.GetWriter() + "." + procedure.TypeOf(e)
}

// AggregateOf returns the aggregate that a subject belongs to: its first two
// tokens. The result is not checked.
func AggregateOf(subject string) string {
	kind, rest, found := strings.Cut(subject, ".")
	if !found {
		return subject
	}
	name, _, _ := strings.Cut(rest, ".")
	return kind + "." + name
}

// Correlation is the release that the event is about: that of its own aggregate,
// or the one that its data names; empty where there is none.
func Correlation(e *releasev1.Event) string {
	if release, ok := strings.CutPrefix(e.GetAggregate(), "rel."); ok {
		return release
	}
	switch data := e.GetData().(type) {
	case *releasev1.Event_TargetLocked:
		return data.TargetLocked.GetRelease()
	case *releasev1.Event_TargetUnlocked:
		return data.TargetUnlocked.GetRelease()
	case *releasev1.Event_ServiceChanged:
		return data.ServiceChanged.GetRelease()
	case *releasev1.Event_ArtifactQuarantined:
		return data.ArtifactQuarantined.GetRelease()
	default:
		return ""
	}
}
