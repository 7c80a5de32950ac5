package procedure_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var protocmpOptions = protocmp.Transform()

// unclear is a line that is no scenario, as opposed to one that is refused.
type unclear struct{ why string }

func (u *unclear) Error() string { return u.why }

func unclearf(format string, args ...any) error { return &unclear{fmt.Sprintf(format, args...)} }

// run makes one line happen. The error is the procedure's, or unclear.
func (sc *scenario) run(t *testing.T, words []string) error {
	t.Helper()
	if words[0] == "request" {
		return sc.request(words[1:])
	}
	if sc.h == nil {
		return unclearf("the story does not begin with a request")
	}
	switch words[0] {
	case "to": // to <phase>: the good way, as far as it goes there
		for _, p := range procedure.Phases() {
			if p.String() == words[1] {
				sc.h.To(t, p)
				return nil
			}
		}
		return unclearf("no such phase")
	case "clock": // clock +<duration>
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return unclearf("%v", err)
		}
		sc.h.Advance(d)
		return nil
	case "deadline": // the clock moves to the next deadline, and it passes
		d, _ := procedure.NextDeadline(sc.h.State())
		if d.At.After(sc.h.Now) {
			sc.h.Advance(d.At.Sub(sc.h.Now))
		}
		return sc.h.Append("", procedure.DecideDeadline(sc.h.State(), sc.h.Now))
	case "woken": // who is woken by the newest event, and has something to do
		sc.woken = true
		return nil
	case "again": // the newest event arrives a second time, as a copy
		e := sc.h.Entries[len(sc.h.Entries)-1]
		e.Sequence = sc.h.Last + 1
		return sc.h.Store(e)
	case "deliver", "insist": // deliver <name>: what was kept is stored now; insist: after the newest event
		e, ok := sc.kept[words[1]]
		if !ok {
			return unclearf("nothing is kept under that name")
		}
		if words[0] == "insist" {
			e.Event = proto.CloneOf(e.Event)
			e.Event.Previous = sc.h.State().Head.Previous()
		}
		e.Sequence, e.Stored = sc.h.Last+1, sc.h.Now
		return sc.h.Store(e)
	case "keep": // keep <name> <event>: decided now, and not stored yet
		e, err := sc.next(words[2:])
		sc.kept[words[1]] = e
		return err
	}
	e, err := sc.next(words)
	if err != nil {
		return err
	}
	return sc.h.Store(e)
}

// next builds the entry that the words stand for, with what is said before it.
func (sc *scenario) next(words []string) (procedure.Entry, error) {
	var change func(*releasev1.Event)
	switch words[0] {
	case "by": // by <writer> <event>
		change = func(e *releasev1.Event) { e.Writer = words[1] }
	case "under": // under <digit> <event>: another procedure document
		change = func(e *releasev1.Event) { e.ProcedureDigest = proceduretest.Digest(words[1][0]) }
	case "skewed": // skewed <duration> <event>: the writer's clock is off
		d, err := time.ParseDuration(words[1])
		if err != nil {
			return procedure.Entry{}, unclearf("%v", err)
		}
		change = func(e *releasev1.Event) { e.Time = timestamppb.New(sc.h.Now.Add(d)) }
	case "unkept": // unkept <digit> <event>: what it rests on could not be kept
		change = func(e *releasev1.Event) {
			e.Unkept = append(e.Unkept, &releasev1.UnkeptEvidence{Digest: proceduretest.Digest(words[1][0]), Name: "a document", Reason: "the evidence store is full"})
		}
	case "of": // of <release> <event>: another release's
		change = func(e *releasev1.Event) { e.Aggregate = procedure.Aggregate(words[1]) }
	default:
		person, event, err := sc.event(words[0], words[1:])
		if err != nil {
			return procedure.Entry{}, err
		}
		if event == nil {
			return procedure.Entry{}, errors.New("there is no such event now")
		}
		var actor *releasev1.Actor
		if person != "" {
			actor = proceduretest.Person(person)
		}
		return sc.h.Next(actor, event), nil
	}
	e, err := sc.next(words[2:])
	if err != nil {
		return e, err
	}
	change(e.Event)
	return e, nil
}

// request planned|emergency|rollback [waves=eu1/us1,us2] [class=opaque] [irreversible] [no-way-back].
func (sc *scenario) request(words []string) error {
	r := proceduretest.Request()
	class := releasev1.DriverClass_DRIVER_CLASS_FENCED
	for _, w := range words {
		switch key, value, _ := strings.Cut(w, "="); key {
		case "planned":
		case "emergency":
			proceduretest.Emergency(r)
		case "rollback":
			proceduretest.Rollback(r)
		case "irreversible":
			proceduretest.Irreversible(r)
		case "no-way-back":
			r.RollbackPlan.Strategy, r.RollbackPlan.Recovery = releasev1.RollbackPlan_STRATEGY_NONE, "Restore the backup."
		case "waves":
			var waves [][]string
			for _, wave := range strings.Split(value, "/") {
				waves = append(waves, strings.Split(wave, ","))
			}
			proceduretest.Waves(waves...)(r)
		case "class":
			class = releasev1.DriverClass(releasev1.DriverClass_value["DRIVER_CLASS_"+strings.ToUpper(value)])
		default:
			return unclearf("%s is unknown", w)
		}
	}
	sc.h, sc.shown = proceduretest.New(r), map[string]string{}
	sc.h.Pace, sc.h.Class = 0, class
	return sc.h.Append("", proceduretest.Requested(r, sc.h.Now))
}

// statuses reads words such as eu1=done.
func statuses(words []string) map[string]releasev1.TargetResult_Status {
	out := map[string]releasev1.TargetResult_Status{}
	for _, w := range words {
		target, status, _ := strings.Cut(w, "=")
		if status == "manual" {
			status = "failed"
		}
		out[target] = releasev1.TargetResult_Status(releasev1.TargetResult_Status_value["STATUS_"+strings.ToUpper(status)])
		if out[target] == releasev1.TargetResult_STATUS_DONE {
			delete(out, target)
		}
	}
	return out
}

// quorum reads release-managers:1,security:2:signed.
func quorum(value string) []*releasev1.QuorumRule {
	var rules []*releasev1.QuorumRule
	for _, r := range strings.Split(value, ",") {
		r, signed := strings.CutSuffix(r, ":signed")
		group, count, _ := strings.Cut(r, ":")
		n, err := strconv.ParseUint(count, 10, 32)
		if err != nil {
			return nil
		}
		rules = append(rules, &releasev1.QuorumRule{Group: group, Count: uint32(n), Signed: signed})
	}
	return rules
}
