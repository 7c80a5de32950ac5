package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/view"
)

// RollbackSchema names the form of the JSON record of a way back.
const RollbackSchema = "shipwarden.rollback-record.v1"

// RollbackRecord is the record of one way back of a release, as a change of its own (PD-7.1).
// It is a function of the release's events up to the one that ended the way back: its bytes
// are the same whenever, and by whomever, it is made.
type RollbackRecord struct {
	Schema      string `json:"schema"`
	Rollback    string `json:"rollback"`
	WayBackOf   string `json:"way_back_of"`
	Number      uint32 `json:"number"`
	Service     string `json:"service"`
	Environment string `json:"environment"`
	// Version is what it takes back.
	Version         string `json:"version"`
	AsOfSequence    uint64 `json:"as_of_sequence"`
	ProcedureDigest string `json:"procedure_digest"`

	// Ordered is the event that made it necessary, and OrderedBy the person who ordered it;
	// empty where the procedure did.
	Ordered   Entry  `json:"ordered"`
	OrderedBy string `json:"ordered_by,omitempty"`
	// Authorization is that of the release, whose approval is of this plan as well.
	ChangeDigest  string  `json:"change_digest"`
	Plan          Message `json:"rollback_plan"`
	Authorization *Entry  `json:"authorization,omitempty"`

	// Targets are what it takes back, in that order.
	Targets []RollbackTarget `json:"targets"`
	// Attempts is how many executors began it.
	Attempts uint32 `json:"attempts"`

	Execution     []Entry `json:"execution"`
	Verifications []Entry `json:"verifications"`
	Escalations   []Entry `json:"escalations"`
	Decisions     []Entry `json:"decisions"`

	Outcome *RollbackOutcome `json:"outcome,omitempty"`
	Timings RollbackTimings  `json:"timings"`

	Timeline []Line `json:"timeline"`

	events []view.Recorded
	state  procedure.State
	way    procedure.Rollback
}

// RollbackTarget is a target of a way back.
type RollbackTarget struct {
	Target string `json:"target"`
	// Depth is how deep it lies among the targets of the release: it goes back before all that
	// it depends on.
	Depth uint32 `json:"depth"`
	// From is what it was to be taken back from, and To what it was shown to go back to.
	From string `json:"from"`
	To   string `json:"to,omitempty"`
}

// RollbackOutcome is how a way back ended.
type RollbackOutcome struct {
	Outcome  string    `json:"outcome"`
	Ended    time.Time `json:"ended_at"`
	Sequence uint64    `json:"ended_by_event"`
}

// RollbackTimings are in milliseconds of the server's clock.
type RollbackTimings struct {
	// Wait is from the order to the first claim, Execute the work on targets, Verify the
	// verification, Total from the order to the end or, before that, to the last event.
	Wait    int64 `json:"wait_ms"`
	Execute int64 `json:"execute_ms"`
	Verify  int64 `json:"verify_ms"`
	Total   int64 `json:"total_ms"`
}

// BuildRollback makes the record of a way back from the messages of its release, in the order
// of the stream; false where there is none of that number.
func BuildRollback(release string, all []view.Recorded, number uint32) (*RollbackRecord, bool) {
	whole, _ := view.OfRecorded(release, all)
	ways := whole.State().Rollbacks
	if number == 0 || int(number) > len(ways) {
		return nil, false
	}
	way := ways[number-1]
	b := &builder{record: empty(release), timeline: view.New(release)}
	d := &RollbackRecord{
		Schema: RollbackSchema, Rollback: procedure.RollbackID(release, number), WayBackOf: release, Number: number,
		OrderedBy: way.OrderedBy, Attempts: way.Attempts, Targets: []RollbackTarget{},
		Execution: []Entry{}, Verifications: []Entry{}, Escalations: []Entry{}, Decisions: []Entry{}, Timeline: []Line{}, way: way,
	}
	var last time.Time
	for _, r := range all {
		if way.Ended != 0 && r.Entry.Sequence > way.Ended {
			break // What comes later is of the release, or of another way back.
		}
		if !r.Counts() || b.timeline.Add(r.Entry) != nil {
			continue
		}
		if e := r.Entry.Event.GetAuthorized(); e != nil {
			entry := b.entry(r, e)
			d.Authorization = &entry
		}
		if r.Entry.Sequence < way.Ordered {
			continue
		}
		last, d.AsOfSequence = r.Entry.Stored, r.Entry.Sequence
		d.events = append(d.events, r)
		d.take(b, r)
	}
	d.state = b.timeline.State()
	d.finish(b, last)
	return d, true
}

// take takes one event of the way back.
func (d *RollbackRecord) take(b *builder, r view.Recorded) {
	e := r.Entry.Event
	d.Timeline = append(d.Timeline, Line{
		Sequence: r.Entry.Sequence, Time: r.Entry.Stored, Type: procedure.TypeOf(e), Writer: e.GetWriter(),
		Actor: e.GetActor().GetId(), SignedBy: r.SignedBy, Digest: r.Digest(), Text: view.Describe(e),
	})
	if r.Entry.Sequence == d.way.Ordered {
		d.Ordered = b.whole(r)
		return
	}
	switch x := e.GetData().(type) {
	case *releasev1.Event_RollbackClaimed, *releasev1.Event_RolledBack, *releasev1.Event_RollbackFailed,
		*releasev1.Event_RollbackUnavailable, *releasev1.Event_ExecutionUnknown:
		d.Execution = append(d.Execution, b.whole(r))
	case *releasev1.Event_SignOffWanted, *releasev1.Event_VerificationPassed, *releasev1.Event_VerificationFailed,
		*releasev1.Event_VerificationInconclusive:
		d.Verifications = append(d.Verifications, b.whole(r))
	case *releasev1.Event_Escalated, *releasev1.Event_Acknowledged, *releasev1.Event_DeadlinePassed:
		d.Escalations = append(d.Escalations, b.whole(r))
	case *releasev1.Event_Intervened:
		d.Decisions = append(d.Decisions, b.entry(r, x.Intervened))
	case *releasev1.Event_SignedOff:
		d.Decisions = append(d.Decisions, b.entry(r, x.SignedOff))
	case *releasev1.Event_ImpactReported:
		d.Decisions = append(d.Decisions, b.entry(r, x.ImpactReported))
	}
}

// whole is an entry with all that its event says.
func (b *builder) whole(r view.Recorded) Entry {
	m := r.Entry.Event.ProtoReflect()
	data := m.WhichOneof(m.Descriptor().Oneofs().ByName("data"))
	return b.entry(r, m.Get(data).Message().Interface())
}

func (d *RollbackRecord) finish(b *builder, last time.Time) {
	s, way := d.state, d.way
	d.Service, d.Environment, d.Version = s.Request.GetService(), s.Request.GetEnvironment(), s.Request.GetVersion()
	d.ProcedureDigest, d.ChangeDigest, d.Plan = s.ProcedureDigest, s.ChangeDigest, b.message(s.Request.GetRollbackPlan())
	for _, t := range way.Targets {
		d.Targets = append(d.Targets, RollbackTarget{
			Target: t, Depth: s.Scoped(t).GetDepth(), From: s.PrimaryArtifact().GetDigest(), To: s.Preview(t).GetRollbackDigest(),
		})
	}
	end := last
	if way.Ended != 0 {
		end = way.EndedAt
		d.Outcome = &RollbackOutcome{Outcome: view.OutcomeWord(way.Outcome), Ended: way.EndedAt, Sequence: way.Ended}
	}
	between := func(from, to time.Time) int64 {
		if from.IsZero() || to.Before(from) {
			return 0
		}
		return to.Sub(from).Milliseconds()
	}
	d.Timings.Total = between(way.OrderedAt, end)
	d.Timings.Verify = between(way.Executed, end)
	executed := end
	if !way.Executed.IsZero() {
		executed = way.Executed
	}
	d.Timings.Execute = between(way.Begun, executed)
	begun := end
	if !way.Begun.IsZero() {
		begun = way.Begun
	}
	d.Timings.Wait = between(way.OrderedAt, begun)
}

// JSON is the form of which the event `recorded` of the release carries the digest.
func (d *RollbackRecord) JSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return nil, fmt.Errorf("write the record of %s: %w", d.Rollback, err)
	}
	return out.Bytes(), nil
}

// Markdown is the record for reading. It is not what is digested.
func (d *RollbackRecord) Markdown() []byte {
	w := &writer{digests: digests{of: map[string]int{}, short: map[string]string{}}}
	r := &Record{Release: d.WayBackOf, events: d.events, state: d.state}
	w.line("# Record of a way back: %s %s in %s", escape(d.Service), escape(d.Version), escape(d.Environment))
	by := "the procedure"
	if d.OrderedBy != "" {
		by = escape(d.OrderedBy)
	}
	ended, outcome := none, "under way"
	if d.Outcome != nil {
		ended, outcome = fmt.Sprintf("%s (event %d)", stamp(d.Outcome.Ended), d.Outcome.Sequence), outcomeWords(d.way.Outcome)
	}
	authorized := none
	if d.Authorization != nil {
		authorized = fmt.Sprintf("with the release at %s (event %d)", stamp(d.Authorization.Time), d.Authorization.Sequence)
	}
	w.facts([][2]string{
		{"Way back", code(d.Rollback)},
		{"Of release", code(d.WayBackOf)},
		{"Outcome", outcome},
		{"Ordered", fmt.Sprintf("%s by %s (event %d)", stamp(d.way.OrderedAt), by, d.way.Ordered)},
		{"Because", w.said(d.because(), "named at the order")},
		{"Approved", authorized},
		{"Change", w.digest(d.ChangeDigest, "change: everything that runs, as it was approved")},
		{"Plan", w.said(d.state.Request.GetRollbackPlan().GetDescription(), "the rollback plan")},
		{"Ended", ended},
		{"This document", fmt.Sprintf("as of event %d", d.AsOfSequence)},
		{"Procedure", "document " + w.digest(d.ProcedureDigest, "procedure document")},
	})
	var rows [][]string
	for _, t := range d.Targets {
		rows = append(rows, []string{
			code(t.Target), fmt.Sprint(t.Depth), w.digest(t.From, "artifact that is taken back"), w.digest(t.To, "what "+t.Target+" goes back to"),
		})
	}
	w.section("Targets, in the order in which they go back")
	w.table([]string{"Target", "Depth", "From", "To"}, rows)
	claims, results, calls, decisions, deadlines := w.remedies(r)
	w.section("Execution")
	w.table([]string{"Event", "When", "Attempt", "What", "Targets", "Executor", "To be done by"}, claims)
	w.table(resultHead, results)
	if checks := verifications(r, true); len(checks) > 0 {
		w.section("Verification")
		w.validations(checks)
	}
	for _, more := range []struct {
		title string
		head  []string
		rows  [][]string
	}{
		{"Escalations", []string{"Event", "When", "Cause", "What", "Rung", "Who", "Incident", "To be taken on by", "Said"}, calls},
		{"Decisions", []string{"Event", "When", "Who", "Decision", "Why"}, decisions},
		{"Deadlines that passed", []string{"Event", "When", "Deadline", "Was due", "Of the escalation for"}, deadlines},
	} {
		if len(more.rows) > 0 {
			w.section(more.title)
			w.table(more.head, more.rows)
		}
	}
	w.section("Timings")
	ms := func(n int64) string { return span(time.Duration(n) * time.Millisecond) }
	w.facts([][2]string{
		{"Until it was begun", ms(d.Timings.Wait)},
		{"Execution", ms(d.Timings.Execute)},
		{"Verification", ms(d.Timings.Verify)},
		{"In all", ms(d.Timings.Total)},
	})
	r.Timeline = d.Timeline
	w.timeline(r)
	w.appendix()
	return w.Bytes()
}

// because is what the event says that ordered the way back.
func (d *RollbackRecord) because() string {
	for _, e := range d.events {
		if e.Entry.Sequence == d.way.Ordered {
			return view.Tell(e.Entry.Event)
		}
	}
	return ""
}
