package procedure_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestDocumentScenarios plays the stories of procedure documents in testdata/document.
// They read as those of releases do: a line at the margin is something that a person
// tries, and below it stands what is in effect and what is open afterwards.
func TestDocumentScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/document/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 6 {
		t.Fatalf("found %d scenarios: the others are lost", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			l := newLibrary()
			for i, line := range strings.Split(strings.TrimSuffix(string(want), "\n"), "\n") {
				if strings.HasPrefix(line, " ") {
					continue
				}
				out.WriteString(line + "\n")
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				err := l.run(strings.Fields(line))
				var said *unclear
				if errors.As(err, &said) {
					t.Fatalf("%s:%d: %s: %s", file, i+1, line, said.why)
				}
				if err != nil {
					fmt.Fprintf(&out, "    error: %s\n", l.names.Replace(err.Error()))
					continue
				}
				for _, s := range l.show() {
					out.WriteString("    " + s + "\n")
				}
			}
			if folded := l.fold(t); !proto.Equal(folded.Standing, l.doc.Standing) {
				t.Errorf("folded again it stands at %v, not %v", folded.Standing, l.doc.Standing)
			}
			golden(t, file, out.String())
		})
	}
}

// board is who is where: people of change-board approve changes of the document, and those
// of security review what went around them.
var board = map[string][]string{
	"anna": {"change-board"}, "ben": {"change-board"}, "cleo": {"change-board", "sre"}, "dora": {"security"}, "emil": {"security"}, "fred": {"friends"},
}

// library is the history of a procedure document while it is told.
type library struct {
	doc      procedure.Document
	now      time.Time
	sequence uint64
	entries  []procedure.Entry
	kept     map[string]*releasev1.Event
	names    *strings.Replacer
}

func newLibrary() *library {
	var replace []string
	for _, v := range []string{"1.0", "1.1", "1.2", "2.0"} {
		replace = append(replace, digestOf(v), "<"+v+">")
	}
	return &library{
		doc: procedure.NewDocument("PROC-DEPLOY-001"), now: proceduretest.Start, kept: map[string]*releasev1.Event{},
		names: strings.NewReplacer(replace...),
	}
}

func digestOf(version string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(version))) }

func somebody(id string) *releasev1.Actor {
	return &releasev1.Actor{Id: id, Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: board[id]}
}

// run does what a line says. The words "keep NAME" before a line leave its event
// unstored, and "store NAME" stores it.
func (l *library) run(words []string) error {
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		l.now = l.now.Add(d)
		return err
	case "keep":
		e, err := l.decide(words[2:])
		l.kept[words[1]] = e
		return err
	case "store":
		return l.store(l.kept[words[1]])
	}
	e, err := l.decide(words)
	if err != nil {
		return err
	}
	return l.store(e)
}

func (l *library) decide(words []string) (*releasev1.Event, error) {
	if len(words) < 2 {
		return nil, unclearf("too short")
	}
	who := somebody(words[1])
	if words[1] == "ci-bot" {
		who.Kind = releasev1.Actor_KIND_SERVICE
	}
	number := uint32(0)
	if len(words) > 2 {
		if n, err := strconv.Atoi(strings.TrimPrefix(words[2], "#")); err == nil {
			number = uint32(n) //nolint:gosec // The stories count to nine.
		}
	}
	// What is looked at is what is proposed, unless another version is named.
	digest := l.doc.Proposal(number).GetDigest()
	if len(words) > 3 {
		digest = digestOf(words[3])
	}
	switch words[0] {
	case "administrator": // administrator activates VERSION [as WHO]
		a := &releasev1.ProcedureActivated{Version: words[2], Digest: digestOf(words[2]), Reason: "because", ClaimedBy: "root"}
		if len(words) > 4 {
			a.ClaimedBy = words[4]
		}
		a.Debt = &releasev1.ProcedureDebt{
			JudgedBy: l.doc.JudgedBy(), Group: "security", Due: timestamppb.New(l.now.Add(72 * time.Hour)), BlocksFrom: timestamppb.New(l.now.Add(96 * time.Hour)),
		}
		return procedure.DecideActivatedByAdministrator(l.doc, procedure.ServiceApproval, a, l.now)
	case "review": // review WHO NUMBER [of VERSION] [for GROUP, of whom nobody was left]
		r := &releasev1.ProcedureReviewed{
			Number: number, Digest: l.doc.Debt(number).GetDigest(), Result: releasev1.ProcedureReviewed_RESULT_JUSTIFIED, Reason: "it had to be",
			JudgedBy: l.doc.Debt(number).GetJudgedBy(), Group: l.doc.Debt(number).GetGroup(),
		}
		switch {
		case len(words) > 4 && words[3] == "of":
			r.Digest = digestOf(words[4])
		case len(words) > 4 && words[3] == "for":
			r.Group, r.JudgedBy, r.NoneLeft = words[4], l.doc.Standing.GetDigest(), true
		}
		return procedure.DecideDocumentReviewed(l.doc, who, r, l.now)
	case "old": // old activates VERSION: as programs did before there were proposals
		return &releasev1.Event{Data: &releasev1.Event_ProcedureActivated{ProcedureActivated: &releasev1.ProcedureActivated{
			Version: words[2], Digest: digestOf(words[2]),
		}}}, nil
	case "propose": // propose WHO VERSION [widens WHOM | compared LAST RELEASES CHANGED UNKNOWN]
		p := &releasev1.ProcedureProposal{
			Version: words[2], Digest: digestOf(words[2]), Reason: "because", Expires: timestamppb.New(l.now.Add(72 * time.Hour)),
			Quorum: &releasev1.QuorumRule{Group: "change-board", Count: 2},
		}
		switch {
		case len(words) > 7 && words[3] == "compared":
			c := &releasev1.ProcedureComparison{Digest: digestOf("the comparison")}
			if _, err := fmt.Sscan(strings.Join(words[4:], " "), &c.Last, &c.Releases, &c.Changed, &c.Unknown); err != nil {
				return nil, unclearf("%s are no numbers", words[4:])
			}
			p.Comparison = c
		case len(words) > 4:
			p.Widened = strings.Split(words[4], ",")
		}
		return procedure.DecideProposed(l.doc, who, p, l.now)
	case "approve":
		return procedure.DecideProposalApproved(l.doc, who, number, digest, "", 24*time.Hour, l.now)
	case "reject":
		return procedure.DecideProposalRejected(l.doc, who, number, "because", l.now)
	case "withdraw":
		return procedure.DecideProposalWithdrawn(l.doc, who, number, "because", l.now)
	case "activate":
		return procedure.DecideProposalActivated(l.doc, who, number, digest, l.now)
	}
	return nil, unclearf("%s is no command", words[0])
}

// store appends an event as the bus would.
func (l *library) store(e *releasev1.Event) error {
	l.now, l.sequence = l.now.Add(time.Second), l.sequence+1
	e = proto.CloneOf(e)
	e.Aggregate, e.ProcedureDigest = l.doc.Aggregate, "sha256:of the history's own"
	if e.GetPrevious() == nil {
		e.Previous = l.doc.Head.Previous()
	}
	entry := proceduretest.Entry(procedure.State{Head: l.doc.Head}, l.sequence, l.now, nil, e)
	after, err := procedure.EvolveDocument(l.doc, entry)
	if err != nil {
		return err
	}
	l.doc, l.entries = after, append(l.entries, entry)
	return nil
}

func (l *library) fold(t *testing.T) procedure.Document {
	t.Helper()
	d := procedure.NewDocument("PROC-DEPLOY-001")
	for _, e := range l.entries {
		next, err := procedure.EvolveDocument(d, e)
		if err != nil {
			t.Fatalf("event %d counted once and does not now: %v", e.Sequence, err)
		}
		d = next
	}
	return d
}

func (l *library) show() []string {
	lines := []string{"nothing is in effect"}
	if v := l.doc.Standing.GetVersion(); v != "" {
		lines[0] = v + " is in effect"
	}
	overdue, blocking := procedure.DebtsOverdue(l.doc.Standing, l.now)
	for _, o := range l.doc.Standing.GetDebts() {
		line := fmt.Sprintf("review %d of %s for %s is due %s, by %s of %s", o.GetNumber(), o.GetVersion(), o.GetClaimedBy(),
			clock(o.GetDue().AsTime()), o.GetGroup(), o.GetJudgedBy())
		switch {
		case slices.Contains(blocking, o):
			line += ", and blocks"
		case slices.Contains(overdue, o):
			line += ", overdue"
		}
		lines = append(lines, l.names.Replace(line))
	}
	for _, p := range l.doc.Standing.GetProposals() {
		counted, missing := procedure.CountProposal(p, l.now)
		line := fmt.Sprintf("#%d %s by %s until %s", p.GetNumber(), p.GetVersion(), p.GetProposer(), clock(p.GetExpires().AsTime()))
		if procedure.ProposalExpired(p, l.now) {
			line += ", expired"
		}
		for _, a := range counted {
			line += ", approved by " + a.GetPerson()
			if a.GetOwnRights() {
				line += " whose own rights it widens"
			}
			line += " until " + clock(a.GetExpires().AsTime())
		}
		lines = append(lines, fmt.Sprintf("%s, %d missing", line, missing))
	}
	return lines
}

// TestDocumentsOfEarlierProgramsStillFold holds the history that a service of before left:
// activations that carry no standing.
func TestDocumentsOfEarlierProgramsStillFold(t *testing.T) {
	l := newLibrary()
	for _, line := range []string{"old activates 1.0", "old activates 1.1", "propose otto 1.2", "approve anna 1", "approve ben 1", "activate otto 1"} {
		if err := l.run(strings.Fields(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	if got := l.fold(t).Standing; got.GetVersion() != "1.2" || got.GetProposed() != 1 {
		t.Errorf("it stands at %v", got)
	}
}

// TestOfTwoActivationsOneCounts is two people who activate at the same moment.
func TestOfTwoActivationsOneCounts(t *testing.T) {
	l := newLibrary()
	for _, line := range []string{"administrator activates 1.0", "propose otto 1.1", "approve anna 1", "approve ben 1"} {
		if err := l.run(strings.Fields(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	first, err := l.decide(strings.Fields("activate otto 1"))
	if err != nil {
		t.Fatal(err)
	}
	second := proto.CloneOf(first)
	second.Previous = l.doc.Head.Previous()
	if err := l.store(first); err != nil {
		t.Fatal(err)
	}
	if err := l.store(second); !errors.Is(err, procedure.ErrNotHead) {
		t.Errorf("the second one: %v", err)
	}
}

// TestAForgedStandingDoesNotCount changes one thing at a time in events that would count:
// whoever could write them cannot make more of them than the procedure does.
func TestAForgedStandingDoesNotCount(t *testing.T) {
	l := newLibrary()
	for _, line := range []string{"administrator activates 1.0", "propose otto 1.1 widens anna", "approve anna 1", "approve ben 1"} {
		if err := l.run(strings.Fields(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	activated := func(change func(*releasev1.Event, *releasev1.ProcedureActivated)) func() error {
		return func() error {
			e, err := l.decide(strings.Fields("activate otto 1"))
			if err != nil {
				t.Fatal(err)
			}
			e = proto.CloneOf(e)
			change(e, e.GetProcedureActivated())
			return l.store(e)
		}
	}
	for name, test := range map[string]struct {
		do   func() error
		want error
	}{
		"another document in the standing": {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) { a.Standing.Digest = digestOf("2.0") }), procedure.ErrStanding},
		"another document":                 {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) { a.Digest = digestOf("2.0") }), procedure.ErrOtherDocument},
		"made against another one":         {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) { a.PreviousDigest = digestOf("2.0") }), procedure.ErrOtherBase},
		"an approval that nobody gave":     {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) { a.Approvals[0].Person = "cleo" }), procedure.ErrApprovalsMissing},
		"one approval twice":               {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) { a.Approvals[1] = a.GetApprovals()[0] }), procedure.ErrApprovalsMissing},
		"a proposal without its number":    {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) { a.Proposal = 0 }), procedure.ErrInvalidTransition},
		"a person who goes around it": {activated(func(_ *releasev1.Event, a *releasev1.ProcedureActivated) {
			a.Proposal, a.Approvals, a.Voided, a.Administrative = 0, nil, []uint32{1}, releasev1.ProcedureActivated_ADMINISTRATIVE_OVERRIDE
		}), procedure.ErrInvalidTransition},
		"a debt of what was approved": {activated(func(e *releasev1.Event, a *releasev1.ProcedureActivated) {
			a.Debt = &releasev1.ProcedureDebt{Number: 1, Version: a.GetVersion(), Digest: a.GetDigest()}
		}), procedure.ErrInvalidTransition},
		"by a machine":  {activated(func(e *releasev1.Event, _ *releasev1.ProcedureActivated) { e.Actor.Kind = releasev1.Actor_KIND_SERVICE }), procedure.ErrNotHuman},
		"by a stranger": {activated(func(e *releasev1.Event, _ *releasev1.ProcedureActivated) { e.Actor = somebody("finn") }), procedure.ErrNotApprover},
		"an event of a release": {func() error {
			return l.store(&releasev1.Event{Data: &releasev1.Event_Withdrawn{Withdrawn: &releasev1.Withdrawn{Reason: "x"}}})
		}, procedure.ErrInvalidTransition},
		"own rights that are kept quiet": {func() error {
			e, err := procedure.DecideProposalApproved(l.doc, somebody("cleo"), 1, digestOf("1.1"), "", time.Hour, l.now)
			if err != nil {
				t.Fatal(err)
			}
			e.GetProcedureApproved().GetApproval().OwnRights = true
			return l.store(e)
		}, procedure.ErrInvalidTransition},
		"an approval of long ago": {func() error {
			e, err := procedure.DecideProposalApproved(l.doc, somebody("cleo"), 1, digestOf("1.1"), "", 24*time.Hour, l.now.Add(-time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			return l.store(e)
		}, procedure.ErrClockSkew},
	} {
		before := l.doc
		if err := test.do(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if diff := cmp.Diff(before.Standing, l.doc.Standing, protocmpOptions); diff != "" {
			t.Errorf("%s changed the standing:\n%s", name, diff)
		}
	}
}
