package chaos

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/failpoint"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Who was told that something is done must find it on record, by then and as they said.
func TestAnAnswerWithoutItsEventIsLost(t *testing.T) {
	at := time.Unix(100, 0)
	given := procedure.Entry{Sequence: 5, Stored: at, Event: &releasev1.Event{
		Actor: &releasev1.Actor{Id: "carol"}, Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{ChangeDigest: "d"}},
	}}
	aborted := procedure.Entry{Sequence: 6, Stored: at, Event: &releasev1.Event{
		Actor: &releasev1.Actor{Id: "dave"}, Data: &releasev1.Event_Aborted{Aborted: &releasev1.Aborted{}},
	}}
	approve := call{Time: at, Op: opApprove, Person: "carol", Release: "r", Digest: "d", Answer: ok}
	with := func(change func(*call)) call { c := approve; change(&c); return c }
	tests := map[string]struct {
		call call
		lost int
	}{
		"stored before the answer": {approve, 0},
		"stored after the answer":  {with(func(c *call) { c.Time = at.Add(-time.Millisecond) }), 1},
		"another change":           {with(func(c *call) { c.Digest = "e" }), 1},
		"another person":           {with(func(c *call) { c.Person = "dave" }), 1},
		"another release":          {with(func(c *call) { c.Release = "s" }), 1},
		"another decision":         {with(func(c *call) { c.Op = opReject }), 1},
		"not answered":             {with(func(c *call) { c.Digest, c.Answer = "e", "" }), 0},
		"refused":                  {with(func(c *call) { c.Digest, c.Answer = "e", "no" }), 0},
		"aborted":                  {with(func(c *call) { c.Op, c.Person = opAbort, "dave" }), 0},
		"reviewed":                 {with(func(c *call) { c.Op = opReview }), 1},
	}
	for name, test := range tests {
		b := &bench{calls: []call{test.call}, counted: map[string][]procedure.Entry{"r": {given, aborted}}}
		if b.answers(); b.Lost != test.lost {
			t.Errorf("%s: lost %d, not %d", name, b.Lost, test.lost)
		}
	}
}

func touch(name string, fence uint64, digest, action string) effect {
	e := effect{Key: name + "/1", Effect: name, Digest: digest, Action: action}
	e.Fence.Epoch, e.Fence.Sequence = "e", fence
	return e
}

// A target that is asked once more and takes no harm had one effect. One that is changed
// a second time had two, and so had one that had said that it is done.
func TestADoubleIsASecondEffectAndNotASecondCall(t *testing.T) {
	tests := map[string]struct {
		touched []effect
		double  int
	}{
		"once":                      {[]effect{touch("r/0/apply", 1, "a", "apply"), touch("r/0/apply", 1, "a", "done")}, 0},
		"again after a crash":       {[]effect{touch("r/0/apply", 1, "a", "apply"), touch("r/0/apply", 2, "a", "apply"), touch("r/0/apply", 2, "a", "done")}, 0},
		"again after it was done":   {[]effect{touch("r/0/apply", 1, "a", "apply"), touch("r/0/apply", 1, "a", "done"), touch("r/0/apply", 2, "a", "apply")}, 1},
		"forth, back and forth":     {[]effect{touch("r/0/apply", 1, "b", "apply"), touch("r/0/rollback", 2, "a", "rollback"), touch("r/0/apply", 2, "b", "apply")}, 1},
		"by somebody who was late":  {[]effect{touch("s/0/apply", 7, "b", "apply"), touch("r/0/apply", 3, "a", "apply")}, 1},
		"in another life of stream": {[]effect{touch("s/0/apply", 7, "b", "apply"), {Effect: "r/0/apply", Digest: "a", Action: "apply"}}, 0},
	}
	for name, test := range tests {
		b := &bench{touched: map[string][]effect{"t": test.touched}}
		if b.touches(targetPlan{ID: "t"}); b.Double != test.double {
			t.Errorf("%s: double %d, not %d: %v", name, b.Double, test.double, b.Notes)
		}
	}
}

// An application may be started twice from one version, but not come to it twice.
func TestAnApplicationSeesWhatItsLedgerKnowsAndOnce(t *testing.T) {
	all := func(digests string) []effect {
		var out []effect
		for _, d := range strings.Fields(digests) {
			out = append(out, effect{Digest: d})
		}
		return out
	}
	tests := map[string]struct {
		ledger, seen string
		double       int
	}{
		"once each":           {"a b", "a b", 0},
		"started again":       {"a b", "a b b", 0},
		"a start was missed":  {"a b a c", "a c", 0},
		"back and on":         {"a b a c", "a b a c", 0},
		"forth a second time": {"a b a b", "a b a b", 1},
		"unknown":             {"a", "a b", 1},
	}
	for name, test := range tests {
		b := &bench{effects: map[string][]effect{"t": all(test.ledger)}, seen: map[string][]effect{"t": all(test.seen)}}
		if b.starts(targetPlan{ID: "t"}); b.Double != test.double {
			t.Errorf("%s: double %d, not %d: %v", name, b.Double, test.double, b.Notes)
		}
	}
}

// Groups are those of the procedure document, whatever the services wrote of a person.
func TestAQuorumIsThatOfTheDocument(t *testing.T) {
	b := &bench{document: &policyv1.Procedure{
		People: []*policyv1.Person{{Id: "carol"}, {Id: "dave"}, {Id: "bot", Machine: true}},
		Groups: []*policyv1.Group{{Name: "managers", Members: []string{"carol", "dave", "bot"}}, {Name: "sre", Members: []string{"dave"}}},
	}}
	both := map[string]int{"managers": 1, "sre": 1}
	tests := map[string]struct {
		quorum map[string]int
		by     []string
		want   string
	}{
		"both":                  {both, []string{"carol", "dave"}, ""},
		"one for two":           {both, []string{"dave"}, "somebody was counted twice"},
		"nobody of one group":   {both, []string{"carol"}, "approvals of sre are missing"},
		"too few of one":        {map[string]int{"managers": 2}, []string{"carol"}, "approvals of managers are missing"},
		"nothing was asked for": {nil, []string{"carol"}, "no approval was asked for"},
	}
	for name, test := range tests {
		approved := map[string]bool{}
		for _, person := range test.by {
			approved[person] = true
		}
		if got := b.short(test.quorum, approved); got != test.want {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
	}
	if b.human("bot") || b.human("nobody") || !b.human("dave") {
		t.Error("people are those of the document who are no machines")
	}
}

func TestMessagesThatAreGoneAreGaps(t *testing.T) {
	b := &bench{}
	if b.holes("REL", []uint64{4, 5}); b.Gap != 2 {
		t.Errorf("gap %d", b.Gap)
	}
}

func TestARunThatDidTooLittleIsNotClean(t *testing.T) {
	if !(Verdict{}).Clean() || (Verdict{Missing: []string{"10 of 300"}}).Clean() || (Verdict{Unhit: []string{"x"}}).Clean() {
		t.Error("a run is clean although something is missing")
	}
}

func TestAFullRunStrikesEverything(t *testing.T) {
	counts := map[string]int{
		"kill postgres": 1, "failpoint kill": 1, "failpoint stop": 1, "failpoint error": 1,
		"kill approval": 1, "kill executor": 1, "kill validator": 1, "kill recorder": 1,
		"stop approval": 1, "stop executor": 1, "stop validator": 1, "stop recorder": 1,
	}
	if out := undone(counts); len(out) != 0 {
		t.Errorf("everything happened, and is said not to have: %q", out)
	}
	for what := range counts {
		counts[what] = 0
		if out := undone(counts); len(out) != 1 || !strings.HasSuffix(out[0], what) {
			t.Errorf("without %s: %q", what, out)
		}
		counts[what] = 1
	}
}

// The short form that every push runs must have releases of every fate.
func TestAShortPlanHoldsEveryFate(t *testing.T) {
	for seed := range uint64(20) {
		fates := map[string]int{}
		for _, lane := range newPlan(60, 16, certainFates, "", rand.New(rand.NewPCG(seed, 1))).Releases {
			if lane[0].Fate != fateGood {
				t.Errorf("seed %d: a lane begins with %s, and has nothing to go back to", seed, lane[0].Fate)
			}
			for _, r := range lane {
				fates[r.Fate]++
			}
		}
		for _, fate := range []string{fateGood, fateBad, fateEmergency, fateRejected, fateWithdrawn, fateNeglected, fateAborted} {
			if fates[fate] == 0 {
				t.Errorf("seed %d: no release is %s", seed, fate)
			}
		}
	}
}

func TestTheHistoryIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), historyName)
	h, err := newHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range map[call]error{{Op: opAbort, Person: "dave", Release: "r"}: nil, {Op: opRequest, Release: "s", Key: "k"}: os.ErrDeadlineExceeded} {
		if got := h.do(c, func() error { return err }); !errors.Is(got, err) {
			t.Errorf("got %v", got)
		}
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	calls, err := readHistory(path)
	if err != nil || len(calls) != 4 {
		t.Fatalf("%v, %+v", err, calls)
	}
	for _, c := range calls {
		want := map[string]string{opAbort: ok, opRequest: os.ErrDeadlineExceeded.Error()}[c.Op]
		if c.Answer != "" && c.Answer != want || c.Time.IsZero() {
			t.Errorf("%+v", c)
		}
	}
}

// What people read about the run is counted and not remembered.
func TestTheDocumentKnowsTheFailpoints(t *testing.T) {
	text, err := os.ReadFile("../../docs/chaos.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d failpoints", len(failpoint.Points)); !strings.Contains(string(text), want) {
		t.Errorf("docs/chaos.md does not say that there are %s", want)
	}
	for _, point := range failpoint.BusPoints {
		if !strings.Contains(string(text), "`"+point+"`") {
			t.Errorf("docs/chaos.md does not say that the bus is killed at %s", point)
		}
	}
	if slices.ContainsFunc(hostileKinds, func(kind string) bool { return !strings.Contains(string(text), kind) }) {
		t.Errorf("docs/chaos.md does not name all of %v", hostileKinds)
	}
}
