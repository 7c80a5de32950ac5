package replay_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/cli/replay"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// decided is a generated release that people decided about when it was escalated, as the lie has it.
// What of it is told is beside it.
func (w *world) decided(t *testing.T, lie func(*releasev1.Event)) (*generator, replay.Decision) {
	t.Helper()
	for seed := range uint64(1000) {
		g := w.release(t, seed, func(g *generator) {
			g.lie = func(e *releasev1.Event) {
				if e.GetIntervened() != nil {
					lie(e)
				}
			}
		})
		for _, d := range g.replay(t, w.kept.Get, g.messages).Decisions {
			if d.Type == "intervened" {
				return g, d
			}
		}
	}
	t.Fatal("nobody decided about any release")
	return nil, replay.Decision{}
}

// TestWhoDecidedByTheDocumentInEffectIsJudgedAgain by that which the event names, and where it names
// none by the release's own. A person whom it does not let, another digest and a changed byte of the
// document are told.
func TestWhoDecidedByTheDocumentInEffectIsJudgedAgain(t *testing.T) {
	w := newWorld(t)
	w.kept = maps.Clone(w.kept)
	newer := proto.CloneOf(w.index.Document())
	newer.Version = "2.0"
	newer.People = append(newer.GetPeople(), &policyv1.Person{Id: "nora", Name: "Nora"}, &policyv1.Person{Id: "bot", Name: "Bot", Machine: true}, &policyv1.Person{Id: "ned", Name: "Ned"})
	for _, p := range newer.GetPeople() {
		p.Machine = p.GetMachine() && p.GetId() != "ci-bot" // It has become somebody.
	}
	i := slices.IndexFunc(newer.GetGroups(), func(g *policyv1.Group) bool { return g.GetName() == "operators" })
	newer.Groups[i].Members = []string{"nora", "bot", "ci-bot"}
	data, err := protojson.Marshal(newer)
	if err != nil {
		t.Fatal(err)
	}
	now := w.kept.put(data).GetDigest()
	foreign := proto.CloneOf(newer)
	foreign.Id = "PROC-OTHER-001"
	if data, err = protojson.Marshal(foreign); err != nil {
		t.Fatal(err)
	}
	other := w.kept.put(data).GetDigest()
	as := func(person, document string, groups ...string) func(*releasev1.Event) {
		return func(e *releasev1.Event) {
			e.Actor.Id, e.Actor.Groups, e.Actor.ProcedureDigest = person, groups, document
		}
	}
	for name, c := range map[string]struct {
		lie    func(*releasev1.Event)
		result replay.Result
		says   string
	}{
		"as events of before it was kept say it":   {func(*releasev1.Event) {}, replay.Partly, "gina might, a member of operators by the procedure document " + w.digest},
		"by the release's own":                     {as("gina", w.digest, "operators"), replay.Partly, "by the procedure document " + w.digest},
		"the owner":                                {as("otto", w.digest), replay.Partly, "otto might, whose it is"},
		"by the one in effect":                     {as("nora", now, "operators"), replay.Partly, "nora might, a member of operators by the procedure document " + now},
		"of the one in effect, by the own":         {as("nora", w.digest, "operators"), replay.Differs, "nobody may decide as nora"},
		"of the one in effect, by none":            {as("nora", "", "operators"), replay.Differs, "nobody may decide as nora"},
		"of the own, by the one in effect":         {as("gina", now, "operators"), replay.Differs, "gina is not in operators"},
		"in no group":                              {as("ned", now), replay.Differs, "ned may not decide this"},
		"in a group that they are not in":          {as("ned", now, "operators"), replay.Differs, "ned is not in operators"},
		"a machine":                                {as("bot", now, "operators"), replay.Differs, "nobody may decide as bot"},
		"by a document of another procedure":       {as("nora", other, "operators"), replay.Differs, "is of the procedure PROC-OTHER-001"},
		"who was a machine by the own":             {as("ci-bot", now, "operators"), replay.Differs, "nobody may decide as ci-bot"},
		"by a document that is not kept":           {as("nora", proceduretest.Digest('9'), "operators"), replay.Differs, "nothing is stored under it"},
		"of before it was kept, without the right": {as("finn", ""), replay.Taken, ""},
	} {
		if _, d := w.decided(t, c.lie); d.Result != c.result || !strings.Contains(d.Detail, c.says) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	g, _ := w.decided(t, as("nora", now, "operators"))
	g.flipped(t, w, now)
}
