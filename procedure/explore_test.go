package procedure_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxNotices is how many notices may wait before they are worked off.
const maxNotices = 1

// node is one state that was reached, with the clock and the stream at that moment.
// State is a value, so that nodes may share it.
type node struct {
	state    procedure.State
	now      time.Time
	sequence uint64
	// by and from say how it was reached first.
	by   string
	from *node
	// next is every node that one move leads to.
	next []*node
}

// path is the story of a node, for whoever has to understand a failure.
func (n *node) path() string {
	var moves []string
	for at := n; at != nil && at.by != ""; at = at.from {
		moves = append(moves, at.by)
	}
	slices.Reverse(moves)
	return fmt.Sprintf("%s after: %s", n.state.Phase, strings.Join(moves, ", "))
}

// try returns the node that a move leads to, and the type of its event; nil where
// there is no such event or it does not count.
func (n *node) try(m move) (*node, string) {
	now := n.now
	if m.from != nil && m.from(n.state).After(now) {
		now = m.from(n.state)
	}
	e := m.build(n.state, now)
	if e == nil {
		return nil, ""
	}
	if e.GetIntervened() != nil && now.Before(n.state.DecideFrom) {
		now = n.state.DecideFrom // People who decide early are refused, and wait.
	}
	var actor *releasev1.Actor
	if m.person != "" {
		actor = proceduretest.Person(m.person)
	}
	// The chain of digests is as good with any digest, and this one costs nothing.
	entry := procedure.Entry{Sequence: n.sequence + 1, Digest: [32]byte{byte(n.sequence % 256)}, Stored: now, Event: e}
	e.Id, e.Aggregate, e.Writer = "e", procedure.Aggregate(n.state.Release), procedure.WriterOf(procedure.TypeOf(e))
	e.Time, e.Previous, e.Actor = timestamppb.New(now), n.state.Head.Previous(), actor
	e.ProcedureDigest = proceduretest.ProcedureDigest
	s, err := procedure.Evolve(n.state, entry)
	if err != nil {
		return nil, ""
	}
	return &node{state: s, now: now, sequence: n.sequence + 1, by: m.name, from: n}, procedure.TypeOf(e)
}

// wait is the move of the clock to the next deadline, and the event that it causes.
func (n *node) wait() (*node, string) {
	d, ok := procedure.NextDeadline(n.state)
	if !ok {
		return nil, ""
	}
	later := *n
	if d.At.After(later.now) {
		later.now = d.At
	}
	kind := "deadline " + d.Kind.String()
	next, event := later.try(move{name: kind, build: procedure.DecideDeadline})
	if next != nil {
		next.from = n
	}
	return next, event
}

// world is one kind of release with all its states.
type world struct {
	name  string
	moves []move
	nodes []*node
	// accepted counts the events that were accepted somewhere, by type.
	accepted map[string]int
}

// Ways in which a release may be unable to go back, besides what its targets say.
var (
	undoable = func(*releasev1.Request) {}
	planless = func(r *releasev1.Request) {
		r.RollbackPlan.Strategy, r.RollbackPlan.Recovery = releasev1.RollbackPlan_STRATEGY_NONE, "Restore the backup."
	}
)

// seen is a check that a person answers.
var seen = &releasev1.Check{Name: "seen", Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{Question: "Is it well?", Groups: []string{"release-managers"}}}}

// worlds are the kinds of releases that differ in what may happen to them. Whether data
// stays changed, or no way back is planned, decides about the way back alone, and the
// class of the drivers about who may take over: not every pair of the two is told apart.
func worlds() []*world {
	const (
		fenced    = releasev1.DriverClass_DRIVER_CLASS_FENCED
		probeable = releasev1.DriverClass_DRIVER_CLASS_PROBEABLE
		opaque    = releasev1.DriverClass_DRIVER_CLASS_OPAQUE
	)
	lanes := map[string]func(*releasev1.Request){
		"planned": func(*releasev1.Request) {}, "emergency": proceduretest.Emergency, "rollback": proceduretest.Rollback,
	}
	one, two := [][]string{{"eu1"}}, [][]string{{"eu1"}, {"us1"}}
	var all []*world
	add := func(lane string, waves [][]string, class releasev1.DriverClass, back string, change func(*releasev1.Request)) {
		r := proceduretest.Request(proceduretest.Waves(waves...), lanes[lane], change)
		w := &world{
			name:  fmt.Sprintf("%s, %d waves, %s%s", lane, len(waves), class, back),
			moves: moves(r, class), accepted: map[string]int{},
		}
		w.nodes = []*node{{state: procedure.State{Release: proceduretest.New(r).Release}, now: proceduretest.Start}}
		all = append(all, w)
	}
	for lane := range lanes {
		for _, waves := range [][][]string{one, two} {
			for _, class := range []releasev1.DriverClass{fenced, probeable, opaque} {
				add(lane, waves, class, "", undoable)
			}
		}
	}
	add("planned", one, fenced, ", somebody has to know", undoable)
	knowing := all[len(all)-1]
	knowing.moves = append(knowing.moves,
		move{name: "notify and wait", build: func(s procedure.State, now time.Time) *releasev1.Event {
			return proceduretest.NotifyWaiting(s, now.Add(time.Hour), true, "finn", "ada")
		}},
		move{name: "impact", person: "finn", build: func(s procedure.State, _ time.Time) *releasev1.Event {
			if s.Impacts > 0 {
				return nil // One tells what all do.
			}
			return proceduretest.Impact()
		}},
		move{name: "changed by hand", build: func(s procedure.State, _ time.Time) *releasev1.Event {
			if s.DriftsSeen > 0 {
				return nil // One tells what all do.
			}
			return procedure.DecideUnrecordedChange(s, "eu1", "", nil)
		}},
		move{name: "as it was again", build: func(s procedure.State, _ time.Time) *releasev1.Event {
			left, _ := procedure.LeftOn(s, "eu1")
			return procedure.DecideUnrecordedChange(s, "eu1", left, nil)
		}},
		move{name: "finn knows", person: "finn", build: func(procedure.State, time.Time) *releasev1.Event { return proceduretest.Know() }},
		move{name: "ada knows", person: "ada", build: func(procedure.State, time.Time) *releasev1.Event { return proceduretest.Know() }},
	)
	add("planned", one, fenced, ", approvers are told", undoable)
	telling := all[len(all)-1]
	telling.moves = slices.DeleteFunc(telling.moves, func(m move) bool { return m.name == "risk clear" })
	telling.moves = append(telling.moves,
		move{name: "risk clear, announced", build: func(s procedure.State, now time.Time) *releasev1.Event {
			if s.Phase != procedure.PhaseRisk {
				return nil
			}
			return proceduretest.Risk(s, now, func(f *procedure.RiskFacts) { f.Announced = true })
		}},
		move{name: "notify followed", build: func(s procedure.State, _ time.Time) *releasev1.Event { return proceduretest.NotifyFollowed(s) }},
	)
	add("planned", one, fenced, ", somebody pauses it", undoable)
	pausing := all[len(all)-1]
	// What is before the start is the same as in the others, and so is what else holds it.
	pausing.moves = slices.DeleteFunc(pausing.moves, func(m move) bool {
		return slices.ContainsFunc([]string{"unapprove", "approve rita", "risk hold", "risk busy", "gates hold", "evidence", "override", "follow up"}, func(of string) bool {
			return strings.HasPrefix(m.name, of)
		})
	})
	pausing.moves = append(pausing.moves,
		move{name: "pause", person: "dan", build: func(s procedure.State, _ time.Time) *releasev1.Event {
			if s.Pauses > 0 || s.Phase == procedure.PhaseApprove {
				return nil // One tells what all do, and approvals do not know of it.
			}
			return proceduretest.Pause()
		}},
		move{name: "held by the pause", build: func(s procedure.State, now time.Time) *releasev1.Event {
			if !s.Paused() {
				return nil
			}
			return &releasev1.Event{Data: &releasev1.Event_StartHeld{StartHeld: proceduretest.Hold(procedure.HoldPaused, now.Add(time.Hour))}}
		}},
		move{name: "resume", person: "dan", build: func(procedure.State, time.Time) *releasev1.Event { return proceduretest.Resume() }},
	)
	add("planned", one, fenced, ", somebody signs it off", func(r *releasev1.Request) {
		r.Validation.Checks = append(r.GetValidation().GetChecks(), seen)
	})
	signing := all[len(all)-1]
	// What is before the end of a wave is the same as in the others.
	signing.moves = slices.DeleteFunc(signing.moves, func(m move) bool {
		return slices.ContainsFunc([]string{"unapprove", "approve rita", "risk hold", "risk busy", "gates hold", "evidence", "override", "follow up"}, func(of string) bool {
			return strings.HasPrefix(m.name, of)
		})
	})
	signs := func(passed bool) func(procedure.State, time.Time) *releasev1.Event {
		return func(s procedure.State, _ time.Time) *releasev1.Event {
			if len(s.SignOffs) == 0 {
				return nil
			}
			return &releasev1.Event{Data: &releasev1.Event_SignedOff{SignedOff: &releasev1.SignedOff{
				Check: seen.GetName(), Number: s.Verifications + 1, Passed: passed, Comment: "looked",
			}}}
		}
	}
	signing.moves = append(signing.moves,
		move{name: "ask for a sign-off", build: func(s procedure.State, now time.Time) *releasev1.Event {
			if s.Phase != procedure.PhaseVerify || len(s.SignOffs) > 0 {
				return nil // Asked anew it is the same as asked once.
			}
			return procedure.DecideSignOffWanted(s, s.Request.GetValidation().GetChecks(), time.Hour, now)
		}},
		move{name: "sign off", person: "dan", build: signs(true)},
		move{name: "sign off a failure", person: "dan", build: signs(false)},
	)
	add("planned", two, fenced, ", data changed for good", proceduretest.Irreversible)
	add("emergency", one, probeable, ", data changed for good", proceduretest.Irreversible)
	add("rollback", one, opaque, ", data changed for good", proceduretest.Irreversible)
	add("planned", two, probeable, ", no way back planned", planless)
	add("emergency", one, opaque, ", no way back planned", planless)
	trying := all[len(all)-1]
	trying.moves = append(trying.moves, move{name: "finn tries", person: "finn", build: func(procedure.State, time.Time) *releasev1.Event {
		return proceduretest.Attempt()
	}})
	add("rollback", one, fenced, ", no way back planned, looked at again", planless)
	watched := all[len(all)-1]
	due := func(s procedure.State) time.Time {
		return s.Verified.Add(time.Duration(s.Later.Number+1) * 24 * time.Hour)
	}
	watched.moves = append(watched.moves,
		move{name: "requested, to be looked at again", build: func(s procedure.State, now time.Time) *releasev1.Event {
			if s.Phase != procedure.PhaseNone {
				return nil
			}
			return proceduretest.LookedAtAgain(proceduretest.Request(proceduretest.Waves(one...), proceduretest.Rollback, planless), now, 24*time.Hour, 1)
		}},
		move{name: "fails later", from: due, build: func(s procedure.State, now time.Time) *releasev1.Event {
			return proceduretest.LaterLook(s, now, releasev1.CheckResult_VERDICT_FAIL)
		}},
		move{name: "unseen later", from: due, build: func(s procedure.State, now time.Time) *releasev1.Event {
			if s.Later.Looks > 0 {
				return nil // One tells what all do.
			}
			return proceduretest.LaterLook(s, now, releasev1.CheckResult_VERDICT_INCONCLUSIVE)
		}},
	)
	watched.moves = slices.DeleteFunc(watched.moves, func(m move) bool { return m.name == "requested" })
	return all
}

// explore visits every state, up to what abstraction leaves out, and calls seen for
// every move that was accepted.
func (w *world) explore(t *testing.T, seen func(from, to *node, event string)) {
	t.Helper()
	known := map[string]*node{abstraction(w.nodes[0]): w.nodes[0]}
	for i := 0; i < len(w.nodes); i++ {
		n := w.nodes[i]
		visit := func(to *node, event string) {
			if to == nil {
				return
			}
			w.accepted[event]++
			seen(n, to, event)
			key := abstraction(to)
			if old, ok := known[key]; ok {
				n.next = append(n.next, old)
				return
			}
			known[key] = to
			w.nodes = append(w.nodes, to)
			n.next = append(n.next, to)
		}
		// A long list of notices is worked off first: it changes nothing else, and
		// without a bound it would make states without end.
		moves := w.moves
		if len(n.state.Wanted) > maxNotices {
			moves = slices.DeleteFunc(slices.Clone(moves), func(m move) bool { return m.name != "notify first" })
		}
		for _, m := range moves {
			visit(n.try(m))
		}
		if len(n.state.Wanted) > maxNotices {
			continue
		}
		visit(n.wait())
		if len(w.nodes) > 200_000 {
			t.Fatalf("%s: more than %d states; the abstraction keeps too much", w.name, len(w.nodes))
		}
	}
}

// abstraction is what of a state decides about what may happen next. Times count as
// passed or not; attempts are left out, because every move names the right one.
func abstraction(n *node) string {
	s := n.state
	b := make([]byte, 0, 256)
	put := func(values ...any) { // Of millions of states, and so without fmt where that is as good.
		for _, v := range values {
			switch v := v.(type) {
			case bool:
				b = strconv.AppendBool(b, v)
			case int:
				b = strconv.AppendInt(b, int64(v), 10)
			case string:
				b = append(b, v...)
			case protoreflect.Enum:
				b = strconv.AppendInt(b, int64(v.Number()), 10)
			default:
				b = fmt.Append(b, v)
			}
			b = append(b, '|')
		}
	}
	put(s.Phase, s.Started(), s.Outcome, s.Recorded, s.ReviewOwed(), s.ReviewOverdue, len(s.Wanted), s.OpenFollowUps() > 0)
	put(slices.ContainsFunc(s.Wanted, func(w procedure.Notice) bool { return w.Occasion == releasev1.Occasion_OCCASION_START }))
	escalated, issues := false, false
	for _, x := range s.Escalations {
		escalated = escalated || x.Cause == s.EscalatedFor && x.AcknowledgedBy == ""
		issues = issues || x.Cause != releasev1.Cause_CAUSE_EMERGENCY_BYPASS
	}
	put(len(procedure.DueCalls(s)), len(s.OpenEscalations()), escalated, issues)
	if d, ok := procedure.NextDeadline(s); ok {
		put(d.Kind, n.now.Before(d.At))
	}
	put(len(procedure.Unclosed(s)) > 0)
	put(len(s.Drifts), s.DriftsSeen, s.Later.Looks > 0, s.Later.Revoked != nil)
	if s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		return string(b) // What it went through decides nothing any more.
	}
	if s.Phase == procedure.PhaseNotify {
		put(len(procedure.Unacknowledged(s)), s.NoticeOverdue)
	}
	put(s.Corrected, slices.ContainsFunc(s.Told, func(x procedure.Told) bool {
		return x.Occasion == releasev1.Occasion_OCCASION_APPROVAL_WANTED && x.Followed
	}))
	if s.Phase == procedure.PhaseHeld {
		put(s.HeldFor, len(s.AwaitedTargets()) > 0)
	}
	if !s.Started() {
		var approved []string
		for _, a := range s.Approvals {
			approved = append(approved, fmt.Sprint(a.Person, n.now.Before(a.Expires)))
		}
		slices.Sort(approved)
		put(approved, s.Authorized != nil, s.Freed.Release != "" && s.HeldFor == procedure.PhaseExecute)
	}
	put(s.Paused(), s.Phase == procedure.PhaseHeld && slices.ContainsFunc(s.Holds, func(h *releasev1.HoldReason) bool {
		return h.GetRule() == procedure.HoldPaused
	}))
	for _, o := range s.SignOffs {
		put(o.Check, o.Answer == nil, o.Answer != nil && o.Answer.Passed, n.now.Before(o.Until))
	}
	put(s.Wave, s.RollbackAttempt > 0, len(s.Touched), s.AbortBy != "", s.Forced, s.EscalatedFor, s.EscalatedRollback, s.Question.Otherwise)
	put(s.Claim.Claimer != "", s.ClassOf(s.Touched) == releasev1.DriverClass_DRIVER_CLASS_PROBEABLE && n.now.Before(s.Claim.LeaseUntil))
	for _, r := range s.Results {
		put(r.GetTarget(), r.GetStatus() == releasev1.TargetResult_STATUS_DONE)
	}
	for _, p := range s.Previews {
		put(p.GetRollbackReady())
	}
	return string(b)
}
