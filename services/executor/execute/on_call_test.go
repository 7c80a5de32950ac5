package execute_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/execute"
	"github.com/blackdice/shipwarden/services/executor/site/sitetest"
)

// rotas is the document of a world with rotas of the release managers.
func rotas(all ...string) string {
	return strings.Replace(sitetest.Document("# on call\n"), "members: [anna]", "members: [anna], on_call: {rotas: ["+strings.Join(all, ", ")+"]}", 1)
}

// rota is people who are on call for an hour each, the first one from so long ago on.
func rota(name string, ago time.Duration, people string) string {
	return fmt.Sprintf("{name: %s, people: [%s], begin: %s, shift: 1h, time_zone: UTC}", name, people, time.Now().Add(-ago).UTC().Format("2006-01-02T15:04"))
}

// TestWhoWasOnCallIsLookedAtAgain: at the start, by the rotas of the release's document and of
// the one in effect, as of when the approval was stored, and not by what it says of itself.
func TestWhoWasOnCallIsLookedAtAgain(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		since    string
		later    time.Duration
		rules    []string
	}{
		"as it should be":                        {rotas(rota("hourly", 30*time.Minute, "eve, ben")), "", 0, nil},
		"over since":                             {rotas(rota("hourly", 30*time.Minute, "eve, ben")), "", 50 * time.Minute, nil},
		"only said to be":                        {rotas(rota("hourly", 30*time.Minute, "ben, eve")), "", 0, []string{"approval.person"}},
		"only said to be, and is on call by now": {rotas(rota("hourly", 30*time.Minute, "ben, eve")), "", 50 * time.Minute, []string{"approval.person"}},
		"without any rota":                       {sitetest.Document("# none\n"), "", 0, []string{"approval.person"}},
		"taken out since": {
			rotas(rota("hourly", 30*time.Minute, "eve, ben")), rotas(rota("hourly", 30*time.Minute, "ben")), 0, []string{"approval.person"},
		},
		"another rota since, from later on": {
			rotas(rota("hourly", 30*time.Minute, "eve, ben")), rotas(rota("hourly", 30*time.Minute, "eve, ben"), rota("next", -10*time.Minute, "ben")), 50 * time.Minute, nil,
		},
		"no rota any more": {rotas(rota("hourly", 30*time.Minute, "eve, ben")), sitetest.Document("# none\n"), 0, []string{"approval.person"}},
		"a member since, without a rota": {
			rotas(rota("hourly", 30*time.Minute, "eve, ben")), strings.Replace(sitetest.Document("# member\n"), "members: [anna]", "members: [anna, eve]", 1), 0, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := sitetest.New(t, sitetest.Noop("eu1"))
			w.Carries(t, "eu1", 1)
			w.Digest = w.Activate(t, c.document)
			r := w.Release(t)
			r.To(t, procedure.PhaseApprove)
			h, s := r.History(t), r.State(t)
			e := proceduretest.Approval(s, time.Now().Add(3*time.Hour))
			e.ProcedureDigest = w.Digest
			e.Actor = &releasev1.Actor{Id: "eve", Kind: releasev1.Actor_KIND_HUMAN, Groups: []string{"release-managers"}, OnCall: []*releasev1.Shift{{
				Group: "release-managers", Rota: "hourly", Number: 1, From: timestamppb.New(time.Now().Add(-30 * time.Minute)), Until: timestamppb.New(time.Now().Add(20 * time.Minute)),
			}}}
			w.Append(t, procedure.ServiceApproval, eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Last, Previous: s.Head.Previous(), Event: e})
			r.Do(t, "ben", proceduretest.Approval(r.State(t), time.Now().Add(3*time.Hour)))
			r.To(t, procedure.PhaseExecute)
			if c.since != "" {
				w.Activate(t, c.since)
			}
			one := w.Executor(t, "one", nil)
			task := r.Task(t, 1)
			task.Now = task.Now.Add(c.later)
			events, err := one.Turn(t.Context(), execute.New(one.Site, time.Now), task)
			if err != nil || len(events) == 0 {
				t.Fatalf("%v, %v", events, err)
			}
			var rules []string
			for _, f := range events[0].GetExecutionRefused().GetFindings() {
				rules = append(rules, f.GetRule())
			}
			if !slices.Equal(rules, c.rules) || r.State(t).Started() != (len(c.rules) == 0) {
				t.Errorf("refused by %v, want %v: %s", rules, c.rules, r.State(t).EndReason)
			}
		})
	}
}
