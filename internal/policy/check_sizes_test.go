package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// TestWhatNoEventCouldHoldIsRefused: a document that is right in every part, and of
// which a release would meet more than fits into the event that tells of it.
func TestWhatNoEventCouldHoldIsRefused(t *testing.T) {
	gates := func(n int) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			for i := len(d.GetGates()); i < n; i++ {
				gate := proto.CloneOf(d.GetGates()[0])
				gate.Name = fmt.Sprintf("gate-%d", i)
				d.Gates, d.Keys[0].Gates = append(d.Gates, gate), append(d.Keys[0].Gates, gate.GetName())
			}
		}
	}
	channels := func(n int) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			for i := len(d.GetChannels()); i < n; i++ {
				channel := proto.CloneOf(d.GetChannels()[0])
				channel.Name = fmt.Sprintf("channel-%d", i)
				d.Channels = append(d.Channels, channel)
			}
		}
	}
	freezes := func(n, reason int, elsewhere bool) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			d.Environments = append(d.Environments, &policyv1.Environment{Name: "elsewhere", Approvals: d.GetEnvironments()[0].GetApprovals()})
			first := d.GetFreezes()[0]
			d.Freezes = nil
			for i := range n {
				window := proto.CloneOf(first)
				window.Name, window.Reason, window.Environments = fmt.Sprintf("freeze-%d", i), strings.Repeat("x", reason), []string{"production"}
				if elsewhere && i%2 == 0 {
					window.Environments = []string{"elsewhere"}
				}
				d.Freezes = append(d.Freezes, window)
			}
		}
	}
	approvals := func(n int) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			var all []string
			for i := range 16 {
				all = append(all, fmt.Sprintf("person-%d", i))
				d.People = append(d.People, &policyv1.Person{Id: all[i], Name: "Person"})
			}
			for i := range n {
				name := fmt.Sprintf("crowd-%d", i)
				d.Groups = append(d.Groups, &policyv1.Group{Name: name, Members: all})
				d.HighRiskApprovals = append(d.HighRiskApprovals, &policyv1.Approvals{Group: name, Count: 16})
			}
		}
	}
	groups := func(n int) func(*policyv1.Procedure) {
		return func(d *policyv1.Procedure) {
			for i := range n {
				d.Groups = append(d.Groups, &policyv1.Group{Name: fmt.Sprintf("more-%d", i), Members: []string{"alice"}})
			}
		}
	}
	for _, test := range []struct {
		name   string
		change func(*policyv1.Procedure)
		rule   string
		says   string
	}{
		{"as many gates as fit", gates(64), "", ""},
		{"more gates", gates(65), "gates.many", "production requires 65 gates, and one event holds the verdicts of 64"},
		{"as many channels as fit", channels(64), "", ""},
		{"more channels", channels(65), "channels.many", "65 channels are told of releases of shop to production"},
		{"a few freezes for long reasons", freezes(20, 1024, false), "", ""},
		{"more of them", freezes(22, 1024, false), "freezes.many", "the freezes of shop to production may need 25"},
		{"more of them, half of them elsewhere", freezes(22, 1024, true), "", ""},
		{"many freezes for short reasons", freezes(150, 24, false), "", ""},
		{"many approvals", approvals(5), "", ""},
		{"more approvals than are counted", approvals(7), "approvals.many", "a release to production may need 11"},
		{"groups of one person", groups(300), "groups.many", "alice is in 301 groups, and one event holds 256"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := example(t)
			test.change(d)
			found := policy.Check(d)
			if test.rule == "" {
				if len(found) > 0 {
					t.Errorf("refused: %v", found)
				}
				return
			}
			i := slices.IndexFunc(found, func(v strictyaml.Violation) bool { return v.Rule == test.rule })
			if i < 0 || !strings.Contains(found[i].Message, test.says) {
				t.Errorf("found %v, want %s: %s", found, test.rule, test.says)
			}
		})
	}
}
