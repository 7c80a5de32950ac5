package procedure_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/procdoc/table"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
)

// TestContractIsPinned compares what others rely on with testdata/contract.golden:
// durables, the subjects that wake them, the types of events and who writes them,
// phases and aggregates. A renamed durable reads everything again, a renamed event
// is heard by nobody.
func TestContractIsPinned(t *testing.T) {
	var b strings.Builder
	for _, s := range procedure.Steps {
		fmt.Fprintf(&b, "durable %s of %s\n", s.ID, s.Service)
		for _, subject := range s.Subjects() {
			fmt.Fprintf(&b, "  wakes on %s\n", subject)
		}
		for _, e := range s.Appends {
			fmt.Fprintf(&b, "  appends %s\n", e)
		}
	}
	for _, e := range eventTypes() {
		fmt.Fprintf(&b, "event %s of %s\n", e, procedure.WriterOf(e))
	}
	for _, p := range procedure.Phases() {
		fmt.Fprintf(&b, "phase %d %s\n", p, p)
	}
	for _, a := range []string{
		procedure.Aggregate("shop-k7q2m3xw5d8ta4bc"), procedure.TargetAggregate("eu1"),
		procedure.ServiceAggregate("production", "shop"), procedure.ProcedureAggregate("PROC-DEPLOY-001"),
		procedure.ArtifactAggregate(proceduretest.Digest('a')),
	} {
		fmt.Fprintf(&b, "aggregate %s\n", a)
	}
	golden(t, "testdata/contract.golden", b.String())
}

// TestDocumentIsUpToDate compares docs/procedure.md with the table of steps.
func TestDocumentIsUpToDate(t *testing.T) {
	golden(t, "../docs/procedure.md", table.Markdown())
}

// TestDocumentHasEveryEvent asks for a row of every event, also of those that no step
// writes: a reader who finds one on the bus looks it up there.
func TestDocumentHasEveryEvent(t *testing.T) {
	document := table.Markdown()
	for _, e := range eventTypes() {
		if n := strings.Count(document, "\n| `"+e+"` | "); n != 1 {
			t.Errorf("%s has %d rows", e, n)
		}
	}
}

// TestEveryEventSaysWhenItIsRecorded holds the comments of the contract to one form,
// which is all that a reader of the stream has to go by.
func TestEveryEventSaysWhenItIsRecorded(t *testing.T) {
	source, err := os.ReadFile("../proto/shipwarden/release/v1/event.proto")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(source), "  oneof data {\n")
	body, _, found := strings.Cut(body, "\n  }\n")
	if !found {
		t.Fatal("the events are not found in their file")
	}
	said := map[string]string{}
	var comment []string
	for line := range strings.Lines(body) {
		words := strings.Fields(line)
		switch {
		case len(words) > 0 && words[0] == "//":
			comment = append(comment, words[1:]...)
			continue
		case len(words) > 1:
			said[words[1]] = strings.Join(comment, " ")
		}
		comment = nil
	}
	for _, e := range eventTypes() {
		if c := said[e]; !strings.HasPrefix(c, "Recorded when ") || !strings.HasSuffix(c, ".") {
			t.Errorf("%s says %q, want a sentence that begins with Recorded when", e, c)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s differs (-file +now); go test -rewrite ./procedure, if it is meant to:\n%s", file, diff)
	}
}

// foundByLooking are the events that no step appends: what became of a target, or of a release, is
// found by looking at it on schedule.
var foundByLooking = []string{"unrecorded_change", "verification_revoked", "reverified"}

// TestTableAgreesWithItself holds the rows of the table against the contract.
func TestTableAgreesWithItself(t *testing.T) {
	ids := map[procedure.StepID]bool{}
	appended := map[string]bool{}
	for _, s := range procedure.Steps {
		if ids[s.ID] {
			t.Errorf("durable %s is there twice", s.ID)
		}
		ids[s.ID] = true
		if !strings.HasPrefix(string(s.ID), s.Service+"-") || strings.ContainsAny(string(s.ID), ".*>/\\ ") {
			t.Errorf("durable %s is not named after its service, or not allowed", s.ID)
		}
		if s.Package != "services/"+s.Service && !strings.HasPrefix(s.Package, "services/"+s.Service+"/") {
			t.Errorf("%s: package %s is not its service's", s.ID, s.Package)
		}
		if s.Clause == "" || s.Title == "" || s.Number == "" {
			t.Errorf("%s has no clause, title or number", s.ID)
		}
		if found, ok := procedure.StepByID(s.ID); !ok || found.Title != s.Title {
			t.Errorf("%s is not found by its id", s.ID)
		}
		for _, e := range s.Appends {
			appended[e] = true
			if procedure.WriterOf(e) != s.Service {
				t.Errorf("%s appends %s, which is %s's", s.ID, e, procedure.WriterOf(e))
			}
		}
		for _, e := range s.WakesOn {
			if procedure.WriterOf(e) == "" {
				t.Errorf("%s wakes on %s, which nobody writes", s.ID, e)
			}
		}
	}
	for _, e := range eventTypes() {
		if procedure.WriterOf(e) == "" {
			t.Errorf("nobody may write %s", e)
		}
		// Procedure documents are changed by people, through the service, and what became of a
		// target or of a release since is found by looking at it; no step does either.
		if !appended[e] && !strings.HasPrefix(e, "procedure_") && !slices.Contains(foundByLooking, e) {
			t.Errorf("no step appends %s", e)
		}
	}
	if _, ok := procedure.StepByID("approval-wishes"); ok {
		t.Error("a step that is not there was found")
	}
}

// TestOwnNamesOfStepsAreDue holds Due to the table: for a step that is not in it
// nothing is ever due.
func TestOwnNamesOfStepsAreDue(t *testing.T) {
	h := proceduretest.New(proceduretest.Request())
	h.To(t, procedure.PhaseApprove)
	if procedure.Due("approval-wishes", h.State(), h.Now) {
		t.Error("a step that is not there has something to do")
	}
	if !procedure.Due(procedure.StepIntake, procedure.State{}, h.Now) || procedure.Due(procedure.StepIntake, h.State(), h.Now) {
		t.Error("intake is due for a release that is there, or not for one that is not")
	}
}

// TestNames holds the names that come from outside to what subjects can carry.
func TestNames(t *testing.T) {
	for id, want := range map[string]bool{
		proceduretest.New(proceduretest.Request()).Release: true, "shop": true, "": false, "Shop": false, "shop.x": false, "shop*": false,
		"shop>": false, "1shop": false, "shop x": false, "shop\n": false, "schön": false, strings.Repeat("a", 81): false,
	} {
		if got := procedure.ValidRelease(id); got != want {
			t.Errorf("release %q: %t", id, got)
		}
	}
	for id, want := range map[string]bool{"eu1": true, "1": true, "": false, "eu.1": false, "EU1": false, "-eu": false, strings.Repeat("a", 64): false} {
		if got := procedure.ValidTarget(id); got != want {
			t.Errorf("target %q: %t", id, got)
		}
	}
	// No two requests name the same release, however their parts are divided.
	seen := []string{procedure.ReleaseID("production", "shop", "1")}
	for _, parts := range [][3]string{{"production", "sho", "p1"}, {"productions", "hop", "1"}, {"production", "shop1", ""}, {"", "shop", "production1"}} {
		id := procedure.ReleaseID(parts[0], parts[1], parts[2])
		if slices.Contains(seen, id) {
			t.Errorf("%q is another request's release", parts)
		}
		seen = append(seen, id)
	}
}

// TestUnknownPhase is for whoever reads a phase that a newer program wrote.
func TestUnknownPhase(t *testing.T) {
	if got := procedure.Phase(200).String(); got != "unknown" {
		t.Errorf("phase 200 is %q", got)
	}
	if _, ok := procedure.NextDeadline(procedure.State{}); ok {
		t.Error("a release that does not exist has a deadline")
	}
	if e := procedure.DecideDeadline(procedure.State{Phase: procedure.PhaseClosed}, time.Unix(1<<40, 0)); e != nil {
		t.Errorf("something happens by itself after the end: %v", e)
	}
	if got := procedure.Interventions(procedure.State{}); got != nil {
		t.Errorf("a person can decide %v on nothing", got)
	}
}
