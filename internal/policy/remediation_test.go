package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	rollBack = releasev1.Remedy_ACTION_ROLL_BACK
	ask      = releasev1.Remedy_ACTION_ASK
	escalate = releasev1.Remedy_ACTION_ESCALATE

	failed       = releasev1.Cause_CAUSE_VALIDATION_FAILED
	inconclusive = releasev1.Cause_CAUSE_VALIDATION_INCONCLUSIVE
	notExecuted  = releasev1.Cause_CAUSE_EXECUTION_FAILED
)

func remediation(rows ...*policyv1.Remediation) *policyv1.Procedure {
	return &policyv1.Procedure{
		Environments: []*policyv1.Environment{{Name: "production"}, {Name: "cards"}},
		Services:     []*policyv1.Service{{Name: "shop"}, {Name: "billing"}},
		RiskScore:    &policyv1.RiskScore{Levels: []*policyv1.RiskLevel{{From: 1, Lane: &policyv1.Lane{Name: "standard"}}}},
		Remediation:  rows,
	}
}

func row(name string, then releasev1.Remedy_Action, changes ...func(*policyv1.Remediation)) *policyv1.Remediation {
	r := &policyv1.Remediation{Name: name, Then: then, When: &policyv1.Situation{}}
	for _, change := range changes {
		change(r)
	}
	return r
}

func asking(within time.Duration, otherwise releasev1.Remedy_Action) func(*policyv1.Remediation) {
	return func(r *policyv1.Remediation) {
		r.Ask = &policyv1.Asking{Who: releasev1.Remedy_ASKED_OWNER, Within: durationpb.New(within), Otherwise: otherwise}
	}
}

func when(change func(*policyv1.Situation)) func(*policyv1.Remediation) {
	return func(r *policyv1.Remediation) { change(r.GetWhen()) }
}

// TestTheFirstRowThatFitsCounts, by what is on record of the release and by nothing else.
func TestTheFirstRowThatFitsCounts(t *testing.T) {
	index := policy.NewIndex(remediation(
		row("cause", escalate, when(func(w *policyv1.Situation) { w.Causes = []releasev1.Cause{notExecuted} })),
		row("data", escalate, when(func(w *policyv1.Situation) { w.Data = []releasev1.Risk_Data{releasev1.Risk_DATA_IRREVERSIBLE} })),
		row("emergency", rollBack, when(func(w *policyv1.Situation) { w.Triggers = []releasev1.Trigger{releasev1.Trigger_TRIGGER_EMERGENCY} })),
		row("lane", rollBack, when(func(w *policyv1.Situation) { w.Lanes = []string{"standard"} })),
		row("weighs", ask, asking(time.Hour, escalate), when(func(w *policyv1.Situation) { w.RiskFrom = 40 })),
		row("billing", escalate, when(func(w *policyv1.Situation) { w.Services, w.Environments = []string{"billing"}, []string{"production"} })),
		row("production", rollBack, when(func(w *policyv1.Situation) { w.Environments = []string{"production"} }), func(r *policyv1.Remediation) { r.LookBeside = true }),
	))
	for want, test := range map[string]struct {
		cause  releasev1.Cause
		change func(*procedure.State)
	}{
		"cause":      {notExecuted, func(*procedure.State) {}},
		"data":       {failed, func(s *procedure.State) { s.Request.Risk.Data = releasev1.Risk_DATA_IRREVERSIBLE }},
		"emergency":  {failed, func(s *procedure.State) { s.Request.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY }},
		"lane":       {inconclusive, func(s *procedure.State) { s.Chosen = &releasev1.Chosen{Lane: "standard"} }},
		"weighs":     {failed, func(s *procedure.State) { s.Score = &releasev1.RiskScore{Score: 40} }},
		"billing":    {failed, func(s *procedure.State) { s.Request.Service = "billing" }},
		"production": {failed, func(s *procedure.State) { s.Score = &releasev1.RiskScore{Score: 39} }},
		"":           {failed, func(s *procedure.State) { s.Request.Environment = "cards" }},
	} {
		s := lookedAt(test.change)
		r := index.Remedy(s, test.cause)
		if r.GetRow() != want || (r == nil) != (want == "") {
			t.Errorf("want row %q, got %v", want, r)
		}
		if test.cause == failed && index.LooksBeside(s) != (want == "production") {
			t.Errorf("row %q looks beside: %v", want, index.LooksBeside(s))
		}
	}
	r := index.Remedy(lookedAt(func(s *procedure.State) { s.Score = &releasev1.RiskScore{Score: 40} }), failed)
	if !proto.Equal(r, &releasev1.Remedy{Row: "weighs", Action: ask, Asked: releasev1.Remedy_ASKED_OWNER, Within: durationpb.New(time.Hour), Otherwise: escalate}) {
		t.Errorf("what is recorded of it: %v", r)
	}
}

// TestWhatFailuresLeadToInWords is what approvers read; without a table nothing is said, and
// where a release does not go back by itself, that is said in place of what a row says.
func TestWhatFailuresLeadToInWords(t *testing.T) {
	index := policy.NewIndex(remediation(
		row("soft", ask, asking(15*time.Minute, rollBack), when(func(w *policyv1.Situation) { w.Causes = []releasev1.Cause{failed} }), func(r *policyv1.Remediation) { r.LookBeside = true }),
		row("hard", escalate, when(func(w *policyv1.Situation) { w.Causes = []releasev1.Cause{notExecuted} })),
	))
	want := []string{
		"validation failed: people decide where targets fail it that were not changed; otherwise the owner is asked for 15m0s, then it goes back at once (soft)",
		"validation inconclusive: it goes back at once",
		"execution failed: people decide (hard)",
	}
	if got := index.Aftermath(lookedAt()); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	got := index.Aftermath(lookedAt(func(s *procedure.State) { proceduretest.Irreversible(s.Request) }))
	if want := "validation inconclusive: people are called, because it does not go back by itself: data is changed for good"; got[1] != want {
		t.Errorf("got %q", got[1])
	}
	if got := policy.NewIndex(remediation()).Aftermath(lookedAt()); got != nil {
		t.Errorf("without a table: %q", got)
	}
}

// TestSlipsInTheTable are found before a release fails.
func TestSlipsInTheTable(t *testing.T) {
	everything := row("everything", rollBack)
	for name, test := range map[string]struct {
		rows []*policyv1.Remediation
		want string
		asks bool
	}{
		"in order":       {rows: []*policyv1.Remediation{row("a", ask, asking(time.Hour, rollBack), when(func(w *policyv1.Situation) { w.RiskFrom = 3 })), everything}},
		"the same name":  {rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) { w.RiskFrom = 3 })), row("a", rollBack)}, want: "remediation[1].name duplicate"},
		"behind all":     {rows: []*policyv1.Remediation{everything, row("b", escalate)}, want: "remediation[1] remediation.unreachable"},
		"behind several": {rows: byTrigger(), want: "remediation[3] remediation.unreachable"},
		"behind a lower threshold": {rows: []*policyv1.Remediation{
			row("a", escalate, when(func(w *policyv1.Situation) { w.RiskFrom = 3 })), row("b", rollBack, when(func(w *policyv1.Situation) { w.RiskFrom = 5 })),
		}, want: "remediation[1] remediation.unreachable"},
		"another cause":       {rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) { w.Causes = []releasev1.Cause{releasev1.Cause_CAUSE_ROLLBACK_FAILED} }))}, want: "remediation[0].when.causes[0] remediation.cause"},
		"asked about anyway":  {asks: true, rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) { w.Causes = []releasev1.Cause{inconclusive} }))}, want: "remediation[0].when.causes remediation.never"},
		"no such environment": {rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) { w.Environments = []string{"prod"} }))}, want: "remediation[0].when.environments[0] environment.unknown"},
		"no such service":     {rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) { w.Services = []string{"shoop"} }))}, want: "remediation[0].when.services[0] service.unknown"},
		"no such lane":        {rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) { w.Lanes = []string{"fast"} }))}, want: "remediation[0].when.lanes[0] lane.unknown"},
		"a lane of emergencies": {rows: []*policyv1.Remediation{row("a", escalate, when(func(w *policyv1.Situation) {
			w.Lanes, w.Triggers = []string{"standard"}, []releasev1.Trigger{releasev1.Trigger_TRIGGER_EMERGENCY}
		}))}, want: "remediation[0].when.lanes remediation.never"},
		"asked whom":     {rows: []*policyv1.Remediation{row("a", ask)}, want: "remediation[0].ask remediation.ask"},
		"asked, and not": {rows: []*policyv1.Remediation{row("a", rollBack, asking(time.Hour, rollBack))}, want: "remediation[0].ask remediation.ask"},
		"a rollback goes back": {rows: []*policyv1.Remediation{row("a", rollBack, when(func(w *policyv1.Situation) {
			w.Triggers = []releasev1.Trigger{releasev1.Trigger_TRIGGER_ROLLBACK}
		}))}, want: "remediation[0].then remediation.by_itself"},
		"data goes back in the end": {rows: []*policyv1.Remediation{row("a", ask, asking(time.Hour, rollBack), when(func(w *policyv1.Situation) {
			w.Data = []releasev1.Risk_Data{releasev1.Risk_DATA_IRREVERSIBLE, releasev1.Risk_DATA_NOT_STATED}
		}))}, want: "remediation[0].then remediation.by_itself"},
		"looked for what is not looked at": {rows: []*policyv1.Remediation{row("a", rollBack, when(func(w *policyv1.Situation) { w.Causes = []releasev1.Cause{notExecuted} }),
			func(r *policyv1.Remediation) { r.LookBeside = true })}, want: "remediation[0].look_beside remediation.beside"},
	} {
		document := remediation(test.rows...)
		document.Escalation = &policyv1.Escalation{AskWhenInconclusive: test.asks}
		var found []string
		for _, v := range policy.Check(document) {
			if strings.HasPrefix(v.Field, "remediation") {
				found = append(found, v.Field+" "+v.Rule)
			}
		}
		if got := strings.Join(found, ", "); got != test.want {
			t.Errorf("%s: found %q", name, got)
		}
	}
	document := remediation(row("a", escalate, when(func(w *policyv1.Situation) { w.RiskFrom = 1 })))
	document.RiskScore = nil
	if !slices.ContainsFunc(policy.Check(document), func(v strictyaml.Violation) bool { return v.Field == "remediation[0].when.risk_from" }) {
		t.Error("a weight without weights is not found")
	}
}

// byTrigger has a row for each way in which a release comes, and one more for none.
func byTrigger() (rows []*policyv1.Remediation) {
	for name, trigger := range releasev1.Trigger_value {
		if trigger != 0 {
			rows = append(rows, row(strings.ToLower(strings.TrimPrefix(name, "TRIGGER_")), escalate, when(func(w *policyv1.Situation) {
				w.Triggers = []releasev1.Trigger{releasev1.Trigger(trigger)}
			})))
		}
	}
	return append(rows, row("rest", rollBack))
}

// TestWhatFailedStaysLonger is told to whoever agrees to a document: by itself the procedure
// took it away.
func TestWhatFailedStaysLonger(t *testing.T) {
	inCards := when(func(w *policyv1.Situation) { w.Environments = []string{"cards"} })
	beside := func(r *policyv1.Remediation) { r.LookBeside = true }
	of := func(rows ...*policyv1.Remediation) []*policyv1.Remediation { return rows }
	for name, test := range map[string]struct {
		before, after []*policyv1.Remediation
		want          string
	}{
		"nothing":                  {nil, nil, ""},
		"at once, as before":       {nil, of(row("a", rollBack)), ""},
		"asked about":              {nil, of(row("a", ask, asking(time.Hour, rollBack))), "what failed is asked about before it goes back, by the row a instead of none"},
		"in one environment":       {nil, of(row("a", escalate, inCards)), "what failed stays until people decide, by the row a instead of none"},
		"asked about for longer":   {of(row("a", ask, asking(time.Hour, rollBack))), of(row("a", ask, asking(2*time.Hour, rollBack))), "what failed is asked about for 2h0m0s before it goes back, by the row a instead of a"},
		"for less long":            {of(row("a", ask, asking(2*time.Hour, rollBack))), of(row("a", ask, asking(time.Hour, rollBack))), ""},
		"nobody answers, it stays": {of(row("a", ask, asking(time.Hour, rollBack))), of(row("a", ask, asking(time.Hour, escalate))), "what failed is asked about, and stays, by the row a instead of a"},
		"back at once":             {of(row("a", escalate)), of(row("a", rollBack)), ""},
		"another order":            {of(row("a", rollBack, inCards), row("b", escalate)), of(row("b", escalate)), "what failed stays until people decide, by the row b instead of a"},
		"looked for elsewhere":     {nil, of(row("a", rollBack, beside)), "what failed stays where targets fail that were not changed, by the row a instead of none"},
		"and no more":              {of(row("a", rollBack, beside)), of(row("a", rollBack)), ""},
	} {
		got := strings.Join(policy.Loosened(remediation(test.before...), remediation(test.after...)), "; ")
		if got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
