package procedure_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestAForgedReviewDoesNotCount changes one thing at a time in a debt and in its review.
func TestAForgedReviewDoesNotCount(t *testing.T) {
	l := newLibrary()
	for _, line := range []string{"administrator activates 1.0", "administrator activates 1.1"} {
		if err := l.run(strings.Fields(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	change := func(words string, change func(*releasev1.Event)) error {
		e, err := l.decide(strings.Fields(words))
		if err != nil {
			t.Fatal(err)
		}
		e = proto.CloneOf(e)
		change(e)
		return l.store(e)
	}
	reviewed := func(do func(*releasev1.ProcedureReviewed)) error {
		return change("review dora 1", func(e *releasev1.Event) { do(e.GetProcedureReviewed()) })
	}
	forced := func(do func(*releasev1.ProcedureDebt)) error {
		return change("administrator activates 2.0", func(e *releasev1.Event) { do(e.GetProcedureActivated().GetDebt()) })
	}
	for name, test := range map[string]struct{ got, want error }{
		"judged by another document":          {reviewed(func(r *releasev1.ProcedureReviewed) { r.JudgedBy = digestOf("1.1") }), procedure.ErrInvalidTransition},
		"nobody left, by the document before": {reviewed(func(r *releasev1.ProcedureReviewed) { r.NoneLeft = true }), procedure.ErrInvalidTransition},
		"no result":                           {reviewed(func(r *releasev1.ProcedureReviewed) { r.Result = 0 }), procedure.ErrInvalidTransition},
		"no reason":                           {reviewed(func(r *releasev1.ProcedureReviewed) { r.Reason = " " }), procedure.ErrInvalidTransition},
		"of a group that nobody named":        {reviewed(func(r *releasev1.ProcedureReviewed) { r.Group = "" }), procedure.ErrNotReviewer},
		"more is paid than that":              {reviewed(func(r *releasev1.ProcedureReviewed) { r.Standing.Forced = 0 }), procedure.ErrStanding},
		"by who is on call": {change("review dora 1", func(e *releasev1.Event) {
			e.Actor.OnCall = []*releasev1.Shift{{Group: "security", From: timestamppb.New(l.now.Add(-time.Hour)), Until: timestamppb.New(l.now.Add(time.Hour))}}
		}), procedure.ErrNotReviewer},
		"a debt of another document": {forced(func(d *releasev1.ProcedureDebt) { d.Digest = digestOf("1.0") }), procedure.ErrInvalidTransition},
		"a debt of nobody": {change("administrator activates 2.0", func(e *releasev1.Event) {
			a := e.GetProcedureActivated()
			a.ClaimedBy, a.Debt.ClaimedBy, a.Standing.Debts[1].ClaimedBy = " ", " ", " "
		}), procedure.ErrInvalidTransition},
		"no debt, where some were owed before": {change("administrator activates 2.0", func(e *releasev1.Event) {
			a := e.GetProcedureActivated()
			a.Debt, a.Standing.Forced, a.Standing.Debts = nil, 1, a.GetStanding().GetDebts()[:1]
		}), procedure.ErrInvalidTransition},
		"no standing, where some were owed before": {change("old activates 2.0", func(*releasev1.Event) {}), procedure.ErrInvalidTransition},
		"a debt of somebody else":                  {forced(func(d *releasev1.ProcedureDebt) { d.ClaimedBy = "emil" }), procedure.ErrInvalidTransition},
		"a debt that names its reviewers":          {forced(func(d *releasev1.ProcedureDebt) { d.JudgedBy = digestOf("1.1") }), procedure.ErrInvalidTransition},
		"a debt that nobody can pay":               {forced(func(d *releasev1.ProcedureDebt) { d.Group = "" }), procedure.ErrInvalidTransition},
		"a debt of long ago":                       {forced(func(d *releasev1.ProcedureDebt) { d.Activated = timestamppb.New(l.now.Add(-time.Hour)) }), procedure.ErrClockSkew},
		"a debt that is due already": {forced(func(d *releasev1.ProcedureDebt) {
			d.Due = timestamppb.New(l.now.Add(-time.Minute))
		}), procedure.ErrInvalidTransition},
		"a debt without a time": {forced(func(d *releasev1.ProcedureDebt) { d.Due = nil }), procedure.ErrInvalidTransition},
		"a debt that blocks before its time": {forced(func(d *releasev1.ProcedureDebt) {
			d.BlocksFrom = timestamppb.New(d.GetDue().AsTime().Add(-time.Second))
		}), procedure.ErrInvalidTransition},
		"a debt under another number": {forced(func(d *releasev1.ProcedureDebt) { d.Number = 1 }), procedure.ErrInvalidTransition},
		"a debt of the first document": {change("administrator activates 2.0", func(e *releasev1.Event) {
			e.GetProcedureActivated().Administrative = releasev1.ProcedureActivated_ADMINISTRATIVE_FIRST
		}), procedure.ErrInvalidTransition},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
	if owed := l.doc.Standing.GetDebts(); len(owed) != 1 {
		t.Errorf("owed is %v", owed)
	}
}

// TestWhatIsPutBesideAnotherProcedureMayBeDueAlready: it takes over when the reviews that are
// owed there are due; but it says when.
func TestWhatIsPutBesideAnotherProcedureMayBeDueAlready(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*releasev1.ProcedureDebt)
		want   error
	}{
		"due since yesterday": {func(*releasev1.ProcedureDebt) {}, nil},
		"due at no time":      {func(d *releasev1.ProcedureDebt) { d.Due = nil }, procedure.ErrInvalidTransition},
		"blocking before it is due": {func(d *releasev1.ProcedureDebt) {
			d.BlocksFrom = timestamppb.New(d.GetDue().AsTime().Add(-time.Second))
		}, procedure.ErrInvalidTransition},
	} {
		l := newLibrary()
		a := &releasev1.ProcedureActivated{
			Version: "1.0", Digest: digestOf("1.0"), Reason: "anew", ClaimedBy: "root", Beside: []string{"proc-other"},
			Debt: &releasev1.ProcedureDebt{
				JudgedBy: digestOf("other"), Group: "security",
				Due: timestamppb.New(l.now.Add(-24 * time.Hour)), BlocksFrom: timestamppb.New(l.now.Add(-time.Hour)),
			},
		}
		test.change(a.GetDebt())
		e, err := procedure.DecideActivatedByAdministrator(l.doc, procedure.ServiceApproval, a, l.now)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if err != nil {
			continue
		}
		if err := l.store(e); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, blocking := procedure.DebtsOverdue(l.doc.Standing, l.now); len(blocking) != 1 {
			t.Errorf("%s: %d block", name, len(blocking))
		}
	}
}

// TestNoMoreAreForcedThanCanBeReviewed: what is owed is in every event.
func TestNoMoreAreForcedThanCanBeReviewed(t *testing.T) {
	l := newLibrary()
	for i := range procedure.MaxDebts + 1 {
		if err := l.run([]string{"administrator", "activates", fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.run(strings.Fields("administrator activates one-more")); !errors.Is(err, procedure.ErrTooManyDebts) {
		t.Error(err)
	}
	for _, line := range []string{"review dora 7", "administrator activates one-more"} {
		if err := l.run(strings.Fields(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// TestOnceAReviewWasOwedOneIsOwedOfEveryDocumentThatIsForced, also when all are given: a
// program of before there were reviews sheds none, and those whom people approve owe none.
func TestOnceAReviewWasOwedOneIsOwedOfEveryDocumentThatIsForced(t *testing.T) {
	l := newLibrary()
	for _, line := range []string{
		"administrator activates 1.0", "administrator activates 1.1", "review dora 1", "propose anna 1.2", "approve ben 1", "approve cleo 1", "activate anna 1",
	} {
		if err := l.run(strings.Fields(line)); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
	}
	e, err := l.decide(strings.Fields("administrator activates 2.0"))
	if err != nil {
		t.Fatal(err)
	}
	a := e.GetProcedureActivated()
	a.Debt, a.Standing.Debts, a.Standing.Forced = nil, nil, 1
	if err := l.store(e); !errors.Is(err, procedure.ErrInvalidTransition) {
		t.Error(err)
	}
	if err := l.run(strings.Fields("old activates 2.0")); !errors.Is(err, procedure.ErrInvalidTransition) || l.doc.Standing.GetVersion() != "1.2" {
		t.Errorf("it stands at %v: %v", l.doc.Standing, err)
	}
}

// TestNobodyForcesADocumentWithoutSayingWhoTheyAre: they could review it themselves. The
// first document of all owes nothing.
func TestNobodyForcesADocumentWithoutSayingWhoTheyAre(t *testing.T) {
	l := newLibrary()
	first := &releasev1.ProcedureActivated{Version: "1.0", Digest: digestOf("1.0"), Reason: "go-live"}
	e, err := procedure.DecideActivatedByAdministrator(l.doc, procedure.ServiceApproval, first, l.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.store(e); err != nil {
		t.Fatal(err)
	}
	for _, claimed := range []string{"", " \t"} {
		second := &releasev1.ProcedureActivated{Version: "1.1", Digest: digestOf("1.1"), Reason: "it burns", ClaimedBy: claimed, Debt: &releasev1.ProcedureDebt{
			JudgedBy: l.doc.JudgedBy(), Group: "security", Due: timestamppb.New(l.now.Add(72 * time.Hour)), BlocksFrom: timestamppb.New(l.now.Add(96 * time.Hour)),
		}}
		if _, err := procedure.DecideActivatedByAdministrator(l.doc, procedure.ServiceApproval, second, l.now); !errors.Is(err, procedure.ErrInvalidTransition) {
			t.Errorf("by %q: %v", claimed, err)
		}
	}
}

// TestWhatWasForcedBeforeThereWereReviewsOwesNone: the event says what was owed, and one of
// before says nothing.
func TestWhatWasForcedBeforeThereWereReviewsOwesNone(t *testing.T) {
	l := newLibrary()
	if err := l.run(strings.Fields("administrator activates 1.0")); err != nil {
		t.Fatal(err)
	}
	e, err := l.decide(strings.Fields("administrator activates 1.1"))
	if err != nil {
		t.Fatal(err)
	}
	a := e.GetProcedureActivated()
	a.Debt, a.Standing.Debts, a.Standing.Forced = nil, nil, 0
	if err := l.store(e); err != nil || l.doc.Standing.GetVersion() != "1.1" || len(l.doc.Standing.GetDebts()) != 0 {
		t.Errorf("it stands at %v: %v", l.doc.Standing, err)
	}
}
