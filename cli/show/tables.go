package show

import (
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Releases writes releases as a table; wide adds columns.
func Releases(w io.Writer, releases []*recorderv1.Release, wide bool) error {
	headings := []string{"RELEASE", "SERVICE", "ENVIRONMENT", "VERSION", "PHASE", "OUTCOME", "REQUESTED"}
	if wide {
		headings = append(headings, "TRIGGER", "OWNER", "REQUESTER", "TARGETS", "UPDATED", "DEADLINE", "SUMMARY")
	}
	t := terminal.NewTable(headings...)
	for _, r := range releases {
		row := []string{
			r.GetRelease(), r.GetService(), r.GetEnvironment(), r.GetVersion(), r.GetPhase(),
			terminal.Word(r.GetOutcome(), "OUTCOME_"), terminal.Time(r.GetRequested()),
		}
		if wide {
			row = append(row, terminal.Word(r.GetTrigger(), "TRIGGER_"), r.GetOwner(), r.GetRequester(),
				strings.Join(r.GetTargets(), ","), terminal.Time(r.GetUpdated()), terminal.Time(r.GetDeadline()), r.GetSummary())
		}
		t.Add(row...)
	}
	return t.Write(w)
}

// Pending writes releases that wait for approvals as a table.
func Pending(w io.Writer, all []*approvalv1.Pending, wide bool) error {
	headings := []string{"RELEASE", "SERVICE", "ENVIRONMENT", "VERSION", "REQUESTER", "MISSING", "APPROVE BY", "YOU"}
	if wide {
		headings = append(headings, "OWNER", "TARGETS", "CHANGE DIGEST")
	}
	t := terminal.NewTable(headings...)
	for _, p := range all {
		r := p.GetRequest()
		row := []string{
			p.GetRelease(), r.GetService(), r.GetEnvironment(), r.GetVersion(), r.GetRequester(),
			Quorum(p.GetMissing()), terminal.Time(p.GetApproveBy()), may(p),
		}
		if wide {
			row = append(row, r.GetOwner(), strings.Join(waves(r), " "), p.GetChangeDigest())
		}
		t.Add(row...)
	}
	return t.Write(w)
}

// Wanted writes checks that wait to be signed off as a table, below another one or by itself.
func Wanted(w io.Writer, all []*approvalv1.WantedSignOff, below bool) error {
	if len(all) == 0 {
		return nil
	}
	if below {
		fmt.Fprintln(w)
	}
	t := terminal.NewTable("RELEASE", "SERVICE", "ENVIRONMENT", "VERSION", "CHECK", "QUESTION", "TARGETS", "ANSWER BY", "YOU")
	for _, o := range all {
		you := "may not: " + o.GetMayNotReason()
		if o.GetMaySignOff() {
			you = fmt.Sprintf("shipwarden sign-off %s %s --verification %d --pass --comment TEXT, or --fail", o.GetRelease(), o.GetCheck(), o.GetNumber())
		}
		of := fmt.Sprintf("wave %d: ", o.GetWave()+1)
		if o.GetRollback() {
			of = "way back: "
		}
		t.Add(o.GetRelease(), o.GetService(), o.GetEnvironment(), o.GetVersion(), o.GetCheck(), o.GetQuestion(),
			of+strings.Join(o.GetTargets(), ","), terminal.Time(o.GetUntil()), you)
	}
	return t.Write(w)
}

// OnDuty writes who is on call as a table.
func OnDuty(w io.Writer, all []*approvalv1.OnDuty) error {
	t := terminal.NewTable("ON CALL", "GROUP", "UNTIL", "BY", "INSTEAD BECAUSE")
	for _, o := range all {
		s := o.GetShift()
		t.Add(o.GetPerson(), s.GetGroup(), terminal.Time(s.GetUntil()), fmt.Sprintf("shift %d of the rota %s", s.GetNumber(), s.GetRota()), s.GetOverride())
	}
	return t.Write(w)
}

func may(p *approvalv1.Pending) string {
	if p.GetMayApprove() {
		return "may approve"
	}
	return "may not: " + p.GetMayNotReason()
}

// waves returns the targets of each wave, separated by commas.
func waves(r *releasev1.Request) []string {
	var out []string
	for _, w := range r.GetPlan().GetWaves() {
		out = append(out, strings.Join(w.GetTargets(), ","))
	}
	return out
}

// Quorum says which approvals a list of rules asks for, such as "2 of sre, 1 of qa".
func Quorum(rules []*releasev1.QuorumRule) string {
	var out []string
	for _, q := range rules {
		out = append(out, needed(q))
	}
	return strings.Join(out, ", ")
}

func needed(q *releasev1.QuorumRule) string {
	if q.GetSigned() {
		return fmt.Sprintf("%d of %s (signed)", q.GetCount(), q.GetGroup())
	}
	return fmt.Sprintf("%d of %s", q.GetCount(), q.GetGroup())
}

// Refusals writes refused requests as a table; wide gives every violation a row.
func Refusals(w io.Writer, all []*recorderv1.Refusal, wide bool) error {
	if wide {
		t := terminal.NewTable("TIME", "SEQUENCE", "SUBJECT", "KEY", "FIELD", "RULE", "MESSAGE")
		for _, r := range all {
			for _, v := range r.GetRefused().GetAnswer().GetViolations() {
				t.Add(terminal.Time(r.GetTime()), fmt.Sprint(r.GetSequence()), r.GetRefused().GetSubject(),
					r.GetRefused().GetAnswer().GetIdempotencyKey(), v.GetField(), v.GetRule(), v.GetMessage())
			}
		}
		return t.Write(w)
	}
	t := terminal.NewTable("TIME", "SEQUENCE", "SUBJECT", "KEY", "VIOLATIONS", "FIRST")
	for _, r := range all {
		answer := r.GetRefused().GetAnswer()
		first := ""
		if v := answer.GetViolations(); len(v) > 0 {
			first = strings.TrimPrefix(v[0].GetField()+": "+v[0].GetMessage(), ": ")
		}
		t.Add(terminal.Time(r.GetTime()), fmt.Sprint(r.GetSequence()), r.GetRefused().GetSubject(),
			answer.GetIdempotencyKey(), fmt.Sprint(len(answer.GetViolations())), first)
	}
	return t.Write(w)
}

// Violations writes what is wrong with a request as a table.
func Violations(w io.Writer, all []*releasev1.Violation) error {
	t := terminal.NewTable("FIELD", "RULE", "MESSAGE")
	for _, v := range all {
		t.Add(v.GetField(), v.GetRule(), v.GetMessage())
	}
	return t.Write(w)
}
