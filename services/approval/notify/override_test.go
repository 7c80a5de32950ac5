package notify_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// TestWhoSetAFreezeHearsOfAnExceptionOfIt, also when the process is killed in between; where
// that is nobody else than who made the exception, or somebody who has left, operators do.
func TestWhoSetAFreezeHearsOfAnExceptionOfIt(t *testing.T) {
	r := newRig(t, func(d *policyv1.Procedure) {
		d.Channels[0].Occasions = append(slices.Clone(d.GetChannels()[0].GetOccasions()), releasev1.Occasion_OCCASION_FREEZE_OVERRIDDEN)
	})
	for _, c := range []struct{ name, setBy, by, hears, reason string }{
		{"another person", "finn", "cleo", "finn", "set the freeze audit"},
		{"the same person", "cleo", "cleo", "gina", "operate, for cleo set the freeze audit"},
		{"somebody who has left", "hugo", "cleo", "gina", "operate, for hugo set the freeze audit"},
		{"a machine", "ci-bot", "cleo", "gina", "operate, for ci-bot set the freeze audit"},
	} {
		release := r.Reach(t, procedure.PhaseRisk, proceduretest.Key(strings.ReplaceAll(c.name, " ", "-")))
		event := proceduretest.Override("audit")
		event.GetFreezeOverridden().SetBy = c.setBy
		r.Do(t, release, c.by, event)
		if _, err := r.step().Act(t.Context(), r.Task(t, release, r.now)); err != nil { // and its draft is lost
			t.Fatal(err)
		}
		s := r.goOn(t, r.step(), release)
		if s.Phase != procedure.PhaseRisk || len(s.Wanted) > 0 {
			t.Errorf("%s: phase %s, wanted %v", c.name, s.Phase, s.Wanted)
		}
		if got := r.ops.heard(); !slices.Equal(got[len(got)-1:], []string{release + "/freeze_overridden/1/ops"}) || len(got) > len(slices.Compact(slices.Clone(got))) {
			t.Errorf("%s: heard %v", c.name, got)
		}
		n := r.told(t, release)
		if a := n.GetAudience(); len(a) != 1 || a[0].GetReason() != c.reason || !slices.Equal(a[0].GetPeople(), []string{c.hears}) ||
			len(n.GetRecipients()) != 1 || n.GetRecipients()[0].GetPerson() != c.hears {
			t.Errorf("%s: audience %v, recipients %v", c.name, a, n.GetRecipients())
		}
		said, _ := r.ops.last(t)
		for _, want := range []string{"Exception of the freeze audit by cleo", "which " + c.setBy + " set", "(INC-7): customers cannot pay", "shipwarden withdraw " + release} {
			if !strings.Contains(said.Subject+"\n"+said.Text, want) {
				t.Errorf("%s: nobody is told %q in\n%s\n%s", c.name, want, said.Subject, said.Text)
			}
		}
	}
}
