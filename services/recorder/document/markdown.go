package document

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// writer writes Markdown.
type writer struct {
	bytes.Buffer
}

// Markdown is the record for reading.
func (r *Record) Markdown() []byte {
	w := &writer{}
	w.line("# Deployment record of %s", code(r.Release))
	w.line("")
	w.line("%s %s to %s, under PROC-DEPLOY-001. As of event %d, phase %s.",
		code(r.Service), code(r.Version), code(r.Environment), r.AsOfSequence, code(r.Phase))
	w.outcome(r)
	w.request(r)
	w.section("Step 1: gates")
	w.messages(r.Gates, "gate", "status", "rule", "reason", "evidence", "signed_by", "authors")
	w.section("Step 2: scope")
	w.messages(r.Artifacts, "name", "kind", "location", "digest", "size")
	w.messages(r.Targets, "target", "wave", "driver", "relation", "state")
	w.section("Step 3: risk")
	w.messages(r.Previews, "target", "summary", "detail", "rollback_ready", "rollback_reason", "class")
	w.messages(r.Findings, "rule", "severity", "subject", "message")
	w.entries("Waits", r.Holds)
	w.approvals(r)
	w.section("Step 4: notices")
	w.entries("", r.Notices)
	w.section("Step 5: execution")
	w.entries("", r.Execution)
	w.section("Step 6: verification")
	w.entries("", r.Verifications)
	w.section("Step 7: way back and escalation")
	w.entries("Way back", r.Rollback)
	w.entries("Escalation", r.Escalations)
	w.entries("Decisions", r.Decisions)
	w.step8(r)
	w.timeline(r)
	return w.Bytes()
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) section(title string) { fmt.Fprintf(w, "\n## %s\n", title) }

func (w *writer) outcome(r *Record) {
	w.section("Outcome")
	if r.Outcome == nil {
		w.table([]string{"", ""}, [][]string{{"Outcome", "not at an end"}})
	} else {
		rows := [][]string{
			{"Outcome", "**" + escape(r.Outcome.Outcome) + "**"},
			{"Reason", escape(r.Outcome.Reason)},
			{"Ended", stamp(&r.Outcome.EndedAt)},
			{"Ended by", code(r.Outcome.EndedBy)},
			{"Recorded", stamp(r.Outcome.RecordedAt)},
			{"Recorded with", code(r.Outcome.RecordedBy)},
			{"Digest of the record", code(r.Outcome.RecordDigest)},
			{"Record as of event", fmt.Sprint(r.Outcome.RecordAsOf)},
			{"Closed", stamp(r.Outcome.ClosedAt)},
		}
		w.table([]string{"", ""}, rows)
	}
	w.line("\n### Timings\n")
	t := r.Timings
	rows := [][]string{
		{"Lead, from request to first claim", duration(t.Lead)},
		{"Execution", duration(t.Execute)},
		{"Verification", fmt.Sprintf("%s (planned bake %s)", duration(t.Bake), duration(t.PlannedBake))},
		{"Way back", duration(t.Remedy)},
		{"Total", duration(t.Total)},
	}
	for _, p := range t.Phases {
		rows = append(rows, []string{"In phase " + code(p.Phase), duration(p.Time)})
	}
	w.table([]string{"What", "Time"}, rows)
	w.line("\n### Deviations and bypassed controls\n")
	w.list(append(prefixed("bypassed: ", r.Bypassed), r.Deviations...))
}

func (w *writer) request(r *Record) {
	w.section("Request")
	w.table([]string{"", ""}, [][]string{
		{"Requested", stamp(&r.RequestedAt)},
		{"Trigger", code(r.Trigger)},
		{"Digest", code(r.RequestDigest)},
		{"Signed by", code(r.RequestSigner)},
		{"Procedure document", code(r.ProcedureDigest)},
	})
	w.line("")
	w.fields(r.Request, "")
	w.line("\n### People\n")
	var rows [][]string
	for _, p := range r.People {
		rows = append(rows, []string{code(p.Person), escape(p.Part)})
	}
	w.table([]string{"Person", "Part"}, rows)
	w.line("\n### Evidence\n")
	w.messages(r.Evidence, "name", "digest", "media_type", "size")
}

func (w *writer) approvals(r *Record) {
	w.section("Authorization")
	w.line("\nChange digest: %s\n", code(r.ChangeDigest))
	w.messages(r.Quorum, "group", "count")
	var rows [][]string
	for _, a := range r.Approvals {
		rows = append(rows, []string{
			code(a.Person), code(strings.Join(a.Groups, ",")), stamp(&a.Time), stamp(&a.Expires), code(a.ShownDigest),
			code(a.ChangeDigest), code(a.CountedFor), stamp(a.WithdrawnAt), code(a.Method), code(a.SignedBy), escape(a.Comment),
		})
	}
	w.table([]string{
		"Person", "Groups", "Approved", "Expires", "Was shown", "Change digest", "Counted for", "Taken back", "Identity by", "Signed by", "Comment",
	}, rows)
	if r.Authorization != nil {
		w.entries("Authorized", []Entry{*r.Authorization})
	}
}

func (w *writer) step8(r *Record) {
	w.section("Step 8: issues and follow-up")
	w.messages(r.FollowUps, "action", "owner", "due")
	if r.Review != nil {
		w.entries("Retrospective review", []Entry{*r.Review})
	}
}

func (w *writer) timeline(r *Record) {
	w.section("Timeline")
	var rows [][]string
	for _, l := range r.Timeline {
		rows = append(rows, []string{
			fmt.Sprint(l.Sequence), stamp(&l.Time), code(l.Type), code(l.Writer), code(l.Actor), escape(l.Text), code(l.SignedBy), code(l.Digest),
		})
	}
	w.table([]string{"Event", "Time", "Type", "Service", "Who", "What", "Signed by", "Digest"}, rows)
	if len(r.Rejected) == 0 {
		return
	}
	w.section("Messages that do not count")
	rows = nil
	for _, x := range r.Rejected {
		rows = append(rows, []string{fmt.Sprint(x.Sequence), stamp(&x.Time), code(x.Subject), code(x.Digest), escape(x.Reason)})
	}
	w.table([]string{"Message", "Time", "Subject", "Digest", "Why"}, rows)
}

func stamp(t *time.Time) string {
	if t == nil || t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 MST")
}

func duration(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func prefixed(prefix string, all []string) []string {
	out := make([]string, 0, len(all))
	for _, s := range all {
		out = append(out, prefix+s)
	}
	return out
}
