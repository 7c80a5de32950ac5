package procedure_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var rewrite = flag.Bool("rewrite", false, "write what the scenarios say now into testdata; commit it only if you understand the difference")

// TestScenarios plays the stories in testdata. A line at the margin is something
// that happens, what is indented below it is what the procedure makes of it, and a
// line that begins with # is for the reader.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 25 {
		t.Fatalf("found %d scenarios: the others are lost", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, file, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s tells another story (-file +now); go test -run TestScenarios -rewrite:\n%s", file, diff)
			}
		})
	}
}

// scenario is one story while it is told.
type scenario struct {
	h *proceduretest.History
	// kept holds entries that were built and not stored yet, by name.
	kept map[string]procedure.Entry
	// shown is what was last printed of the state.
	shown map[string]string
	// woken says that the steps are printed that the newest event wakes.
	woken bool
}

func play(t *testing.T, file, story string) string {
	t.Helper()
	sc := &scenario{kept: map[string]procedure.Entry{}, shown: map[string]string{}}
	var out strings.Builder
	var kept []procedure.State
	var prints []string
	for i, line := range strings.Split(strings.TrimSuffix(story, "\n"), "\n") {
		if strings.HasPrefix(line, " ") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		before := procedure.State{}
		if sc.h != nil {
			before = sc.h.State()
		}
		err := sc.run(t, strings.Fields(line))
		if sc.h != nil {
			kept, prints = append(kept, sc.h.State()), append(prints, fingerprint(sc.h.State()))
		}
		var said *unclear
		if errors.As(err, &said) {
			t.Fatalf("%s:%d: %s: %s", file, i+1, line, said.why)
		}
		if err != nil {
			fmt.Fprintf(&out, "    error: %s\n", err)
			if diff := cmp.Diff(before, sc.h.State(), protocmpOptions); diff != "" {
				t.Errorf("%s:%d: an event that does not count changed the state:\n%s", file, i+1, diff)
			}
			continue
		}
		for _, l := range sc.show() {
			out.WriteString("    " + l + "\n")
		}
	}
	for i, s := range kept {
		if diff := cmp.Diff(prints[i], fingerprint(s)); diff != "" {
			t.Errorf("%s: a state that was kept was changed by what came later:\n%s", file, diff)
		}
	}
	return out.String()
}

// show renders the state: the first line always, others when they changed.
func (sc *scenario) show() []string {
	s := sc.h.State()
	first := s.Phase.String()
	if d, ok := procedure.NextDeadline(s); ok {
		first += " | " + word(d.Kind.String(), "DEADLINE_") + " until " + clock(d.At)
	}
	var due []string
	for _, step := range procedure.Steps {
		switch step.ID {
		case procedure.StepDeadline, procedure.StepCatalog, procedure.StepAnswer, procedure.StepWake:
		default:
			if procedure.Due(step.ID, s, sc.h.Now) {
				due = append(due, string(step.ID))
			}
		}
	}
	if len(due) > 0 {
		first += " | due " + strings.Join(due, " ")
	}
	if can := procedure.Actions(s); len(can) > 0 {
		first += " | people " + strings.Join(can, " ")
	}
	lines := []string{first}
	if sc.woken {
		lines, sc.woken = append(lines, "woken: "+strings.Join(sc.wakes(), " ")), false
	}
	for _, part := range parts(s) {
		if sc.shown[part[0]] != part[1] {
			sc.shown[part[0]] = part[1]
			lines = append(lines, strings.TrimRight(part[0]+": "+part[1], " "))
		}
	}
	return lines
}

// wakes is the steps that the newest event wakes and that have something to do.
func (sc *scenario) wakes() []string {
	newest := sc.h.Entries[len(sc.h.Entries)-1]
	var out []string
	for _, step := range procedure.Steps {
		if slices.Contains(step.WakesOn, procedure.TypeOf(newest.Event)) && procedure.Due(step.ID, sc.h.State(), sc.h.Now) {
			out = append(out, string(step.ID))
		}
	}
	return out
}

// parts is what is shown of a state when it changes.
func parts(s procedure.State) [][2]string {
	var approvals, calls, tell, holds, results, findings []string
	for _, a := range s.Approvals {
		approvals = append(approvals, fmt.Sprintf("%s until %s", a.Person, clock(a.Expires)))
	}
	for _, x := range s.Escalations {
		call := fmt.Sprintf("%s rung %d", word(x.Cause.String(), "CAUSE_"), x.Rung)
		switch {
		case x.ClosedBy != "":
			call += " closed by " + x.ClosedBy
		case x.AcknowledgedBy != "":
			call += " taken by " + x.AcknowledgedBy
		case x.CallNext:
			call += " call next"
		default:
			call += " until " + clock(x.AcknowledgeBy)
		}
		calls = append(calls, call)
	}
	for _, n := range s.Wanted {
		tell = append(tell, fmt.Sprintf("%s %d", word(n.Occasion.String(), "OCCASION_"), n.Number))
	}
	for _, x := range s.Holds {
		holds = append(holds, x.GetRule())
	}
	for _, r := range s.Results {
		results = append(results, r.GetTarget()+" "+word(r.GetStatus().String(), "STATUS_")+digit(r.GetDigest()))
	}
	for _, f := range s.Findings {
		if f.GetSeverity() != releasev1.Finding_SEVERITY_OK {
			findings = append(findings, word(f.GetSeverity().String(), "SEVERITY_")+" "+f.GetRule())
		}
	}
	outcome := ""
	if s.Outcome != releasev1.Outcome_OUTCOME_UNSPECIFIED {
		outcome = word(s.Outcome.String(), "OUTCOME_") + ", " + s.EndReason
		if s.EndedBy != "" {
			outcome += ", by " + s.EndedBy
		}
	}
	review := ""
	if !s.ReviewDue.IsZero() {
		review = "due " + clock(s.ReviewDue)
		if s.ReviewOverdue {
			review += ", overdue"
		}
		if s.ReviewedBy != "" {
			review += ", done by " + s.ReviewedBy
		}
	}
	var todo []string
	for _, f := range s.FollowUps {
		what := fmt.Sprintf("%d %s by %s", f.Number, f.What.GetAction(), f.What.GetOwner())
		if f.ClosedBy != "" {
			what += ", done says " + f.ClosedBy
		}
		todo = append(todo, what)
	}
	var unkept []string
	for _, u := range s.Unkept {
		unkept = append(unkept, strings.TrimSpace(digit(u.GetDigest())))
	}
	var missing []string
	for _, p := range procedure.Unacknowledged(s) {
		missing = append(missing, fmt.Sprintf("%s of %s until %s", strings.Join(p.GetPeople(), ", "), p.GetAudience(), clock(p.GetAcknowledgeBy().AsTime())))
	}
	var overridden []string
	for _, o := range s.Overrides {
		overridden = append(overridden, o.Freeze+" by "+o.Person)
	}
	decide := ""
	if !s.DecideFrom.IsZero() {
		decide = clock(s.DecideFrom)
	}
	work := ""
	if s.Claim.Claimer != "" {
		work = fmt.Sprintf("wave %d attempt %d, way back %d, %s until %s", s.Wave, s.Attempt, s.RollbackAttempt, s.Claim.Claimer, clock(s.Claim.LeaseUntil))
	}
	freed := ""
	if s.Freed.Release != "" {
		freed = fmt.Sprintf("by %s at %d", s.Freed.Release, s.Freed.Sequence)
	}
	var later []string
	for _, d := range s.Deferred {
		when := "until " + d.Until.Format("Mon 15:04:05")
		if d.Due {
			when = "due"
		}
		later = append(later, fmt.Sprintf("%s %d to %s %s", word(d.Occasion.String(), "OCCASION_"), d.Number, d.Channel, when))
	}
	return [][2]string{
		{"findings", strings.Join(findings, ", ")},
		{"holds", strings.Join(holds, ", ")},
		{"freed", freed},
		{"unacknowledged", strings.Join(missing, "; ")},
		{"approvals", strings.Join(approvals, ", ")},
		{"bypassed", strings.Join(s.Bypassed, ", ")},
		{"overridden", strings.Join(overridden, ", ")},
		{"not kept", strings.Join(unkept, ", ")},
		{"tell", strings.Join(tell, ", ")},
		{"tell later", strings.Join(later, ", ")},
		{"work", work},
		{"targets", strings.Join(results, ", ")},
		{"calls", strings.Join(calls, ", ")},
		{"decide from", decide},
		{"review", review},
		{"outcome", outcome},
		{"to do", strings.Join(todo, ", ")},
	}
}

func word(constant, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(constant, prefix))
}

// digit shortens the digests of proceduretest, which are made of one digit.
func digit(digest string) string {
	if digest == "" {
		return ""
	}
	return " " + digest[len(digest)-1:]
}

func clock(t time.Time) string { return t.UTC().Format("Mon 15:04:05.999999999") }
