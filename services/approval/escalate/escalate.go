// Package escalate is the ladder of step 7: it calls people, rung by rung, until
// somebody takes the escalation on (PROC-DEPLOY-001, "Escalation / Exceptions").
//
// It wakes on whatever makes a call necessary, and when nobody acknowledged in
// time, and appends escalated. Telling the people is step 4's: the event makes the
// notice due.
package escalate

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// longest is the longest time between two calls of the last rung.
const longest = 24 * time.Hour

// maxSummary bounds what is told about an escalation, in bytes: why a release ended
// may be as long as an event, and this has to fit into another one.
const maxSummary = 2048

// maxCalled bounds the people who are named as called: of a larger group it is
// enough to name the group.
const maxCalled = 128

// Procedures gives the procedure document that a release runs under.
type Procedures interface {
	ByDigest(ctx context.Context, digest string) (*policy.Index, error)
}

// New returns the step.
func New(procedures Procedures) reactor.Step {
	s := shell{procedures}
	return reactor.Step{ID: procedure.StepEscalate, Act: s.act}
}

type shell struct{ procedures Procedures }

func (s shell) act(ctx context.Context, t reactor.Task) ([]eventstore.Draft, error) {
	calls := procedure.DueCalls(t.State)
	if len(calls) == 0 {
		return nil, nil
	}
	index, err := s.procedures.ByDigest(ctx, t.State.ProcedureDigest)
	if err != nil {
		return nil, err
	}
	call := calls[0] // the next one is due when this one is stored
	rung, within := climb(index.Document().GetEscalation().GetRungs(), call.Rung)
	to := index.PeopleAt(rung.GetGroup(), t.Now)
	if len(to) == 0 || len(to) > maxCalled {
		to = []string{rung.GetGroup()}
	}
	to = first(asked(index, t.State, call.Cause, t.Now), to)
	return []eventstore.Draft{t.Draft(&releasev1.Event{Data: &releasev1.Event_Escalated{Escalated: &releasev1.Escalated{
		Cause: call.Cause, Rung: call.Rung + 1, To: to,
		AcknowledgeBy: timestamppb.New(t.Now.Add(within)),
		Incident:      "INC-" + t.State.Release,
		Summary:       summary(t.State, call.Cause),
	}}})}, nil
}

// asked are the people whom the procedure document has asked what becomes of the release, while
// they are. They are named on every call, beside those of its rung.
func asked(index *policy.Index, s procedure.State, cause releasev1.Cause, now time.Time) []string {
	switch {
	case s.Question.Until.IsZero() || s.EscalatedFor != cause:
		return nil
	case s.Question.Who == releasev1.Remedy_ASKED_OWNER:
		return []string{s.Request.GetOwner()}
	}
	group := index.Document().GetOperatorsGroup()
	if people := index.PeopleAt(group, now); len(people) > 0 && len(people) <= maxCalled {
		return people
	}
	return []string{group}
}

// first puts some before others, and nobody twice.
func first(some, others []string) []string {
	return append(slices.Clip(some), slices.DeleteFunc(slices.Clone(others), func(p string) bool { return slices.Contains(some, p) })...)
}

// climb returns the rung that is called after so many calls, and how long it has.
// The last rung is called again and again, each time with twice the time, so that
// an escalation that nobody takes on is neither forgotten nor a storm.
func climb(rungs []*policyv1.Rung, called uint32) (*policyv1.Rung, time.Duration) {
	last := len(rungs) - 1
	if int(called) <= last {
		return rungs[called], rungs[called].GetAcknowledgeWithin().AsDuration()
	}
	within := rungs[last].GetAcknowledgeWithin().AsDuration()
	for range int(called) - last {
		if within *= 2; within >= longest {
			return rungs[last], longest
		}
	}
	return rungs[last], within
}

func summary(s procedure.State, cause releasev1.Cause) string {
	r := s.Request
	word := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(cause.String(), "CAUSE_")), "_", " ")
	out := word + ": " + r.GetService() + " " + r.GetVersion() + " to " + r.GetEnvironment() + ", phase " + s.Phase.String()
	if s.EndReason != "" {
		out += "; " + s.EndReason
	}
	if cause == releasev1.Cause_CAUSE_UNRECORDED_CHANGE {
		for _, d := range s.Drifts {
			out += "; target " + d.Target + " was changed and no release did it"
			if found := d.What.GetFound(); found != d.What.GetExpected() {
				out += ": it carries " + cmp.Or(found, "nothing")
			}
			if changes := d.What.GetDifferences(); len(changes) > 0 {
				out += ": " + strings.Join(changes, ", ")
			}
		}
	}
	if cause == releasev1.Cause_CAUSE_VERIFICATION_REVOKED {
		out += "; it was verified, and look " + strconv.FormatUint(uint64(s.Later.Revoked.GetNumber()), 10) + " after that says: " + s.Later.Revoked.GetReason()
	}
	if cause == releasev1.Cause_CAUSE_REVERIFICATION_UNSEEN {
		out += "; it was verified, and the newest " + strconv.FormatUint(uint64(s.Later.Unseen), 10) + " looks after that have no verdict"
	}
	if cause == releasev1.Cause_CAUSE_INCIDENT_UNCLOSED {
		var open []string
		for _, c := range procedure.Unclosed(s) {
			open = append(open, strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(c.String(), "CAUSE_")), "_", " "))
		}
		out += "; it was taken on, and ends when somebody closes it: " + strings.Join(open, ", ") +
			": shipwarden close-incident " + s.Release + " --reason '…'"
	}
	if q := s.Question; !q.Until.IsZero() && cause == s.EscalatedFor {
		out += "; decide by " + q.Until.UTC().Format(time.RFC3339) + ", or "
		back, why := procedure.CanRollBack(s, procedure.RollbackTargets(s))
		switch {
		case q.Otherwise != releasev1.Remedy_ACTION_ROLL_BACK:
			out += "the next ones are called"
		case back:
			out += "it goes back by itself"
		default:
			out += "you are called again, because it does not go back by itself: " + why
		}
	}
	if cause == releasev1.Cause_CAUSE_UNEXPECTED_IMPACT {
		out += "; " + s.Impact.GetDescription()
		if hit := s.Impact.GetCustomers(); len(hit) > 0 {
			out += "; customers: " + strings.Join(hit, ", ")
		}
	}
	if len(out) > maxSummary {
		out = strings.ToValidUTF8(out[:maxSummary], "") + "…"
	}
	return out
}
