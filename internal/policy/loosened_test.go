package policy

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func fullExample(t *testing.T) *policyv1.Procedure {
	t.Helper()
	data, err := os.ReadFile("../../examples/procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	document, err := Parse(data, "procedure.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// TestEveryFieldIsJudgedOrHasAReason walks the schema, and changes each field of the full
// example: a change of a field that is judged is named in one direction at least.
func TestEveryFieldIsJudgedOrHasAReason(t *testing.T) {
	document := fullExample(t)
	named := map[protoreflect.FullName]bool{}
	everywhere(document.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
		if named[f.FullName()] || loosening[f.FullName()].is == never {
			return
		}
		kept := proto.CloneOf(document)
		for _, change := range changesOf(f, m) {
			change()
			if len(Loosened(kept, document)) > 0 || len(Loosened(document, kept)) > 0 {
				named[f.FullName()] = true
			}
			copyInto(document.ProtoReflect(), kept.ProtoReflect())
			if named[f.FullName()] {
				return
			}
		}
	})
	all := map[protoreflect.FullName]bool{}
	schema(document.ProtoReflect().Descriptor(), all)
	for f := range all {
		entry, there := loosening[f]
		switch {
		case !there:
			t.Errorf("loosening says nothing of %s: is a change of it a loosening, and which, or why not?", f)
		case entry.is == never && entry.why == "":
			t.Errorf("no change of %s is a loosening, and no reason is given", f)
		case entry.is != never && (entry.is != within || entry.why == "") && !named[f]:
			t.Errorf("%s is judged, and no change of it is named", f)
		}
	}
	for f := range loosening {
		if !all[f] {
			t.Errorf("loosening has %s, which is no field", f)
		}
	}
}

// copyInto sets every field of a message as another one has it, and keeps the messages in
// it, which others hold.
func copyInto(to, from protoreflect.Message) {
	fields := to.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case !from.Has(f):
			to.Clear(f)
		case f.IsList() && f.Message() != nil && to.Get(f).List().Len() == from.Get(f).List().Len():
			for j := range from.Get(f).List().Len() {
				copyInto(to.Get(f).List().Get(j).Message(), from.Get(f).List().Get(j).Message())
			}
		case f.IsList() || f.IsMap() || f.Message() == nil:
			to.Set(f, proto.Clone(from.Interface()).ProtoReflect().Get(f))
		case to.Has(f):
			copyInto(to.Get(f).Message(), from.Get(f).Message())
		default:
			to.Set(f, proto.Clone(from.Interface()).ProtoReflect().Get(f))
		}
	}
}

func ours(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && !f.IsMap() && strings.HasPrefix(string(f.Message().FullName()), "shipwarden.policy.v1.")
}

// windows are judged whole, by sameWindow.
func windows(m protoreflect.MessageDescriptor) bool {
	return slices.Contains([]protoreflect.Name{"Span", "Weekly", "Recurring", "Calendar", "LabelMatcher", "QuietHours", "Digest"}, m.Name())
}

func schema(m protoreflect.MessageDescriptor, all map[protoreflect.FullName]bool) {
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if all[f.FullName()] {
			continue
		}
		all[f.FullName()] = true
		if ours(f) && !windows(f.Message()) {
			schema(f.Message(), all)
		}
	}
}

// everywhere visits every field of every message that the document holds.
func everywhere(m protoreflect.Message, visit func(protoreflect.Message, protoreflect.FieldDescriptor)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.ContainingOneof() == nil || m.Has(f) {
			visit(m, f)
		}
		switch {
		case !ours(f) || windows(f.Message()) || !m.Has(f):
		case f.IsList():
			for j := range m.Get(f).List().Len() {
				everywhere(m.Get(f).List().Get(j).Message(), visit)
			}
		default:
			everywhere(m.Get(f).Message(), visit)
		}
	}
}

// changesOf are changes of one field, each of a message as it was.
func changesOf(f protoreflect.FieldDescriptor, m protoreflect.Message) []func() {
	set := func(v any) func() { return func() { m.Set(f, protoreflect.ValueOf(v)) } }
	clear := func() { m.Clear(f) }
	if f.IsMap() || f.IsList() {
		return []func(){clear, func() {
			if list := m.Mutable(f); f.IsList() && list.List().Len() > 0 {
				last := list.List().Get(list.List().Len() - 1)
				if f.Message() != nil {
					other := proto.Clone(last.Message().Interface()).ProtoReflect()
					for _, name := range []protoreflect.Name{"id", "name"} {
						if k := other.Descriptor().Fields().ByName(name); k != nil {
							other.Set(k, protoreflect.ValueOf("zz"))
						}
					}
					list.List().Append(protoreflect.ValueOf(other))
					return
				}
				list.List().Truncate(list.List().Len() - 1)
			}
		}}
	}
	switch v := m.Get(f).Interface().(type) {
	case bool:
		return []func(){set(!v)}
	case uint32:
		return []func(){set(v + 1), clear}
	case string:
		return []func(){set("zz")}
	case []byte:
		return []func(){set(slices.Repeat([]byte{7}, 32))}
	case protoreflect.EnumNumber:
		return []func(){set(v + 1), clear}
	case protoreflect.Message:
		if d, ok := v.Interface().(*durationpb.Duration); ok {
			return []func(){set(durationpb.New(d.AsDuration()*2 + time.Hour).ProtoReflect()), clear}
		}
		if f.Message().FullName() == "google.protobuf.Timestamp" {
			return []func(){clear, func() {
				m.Mutable(f).Message().Set(f.Message().Fields().ByName("seconds"), protoreflect.ValueOf(int64(1)))
			}}
		}
	}
	return []func(){clear}
}

func lane(d *policyv1.Procedure) *policyv1.Lane { return d.GetRiskScore().GetLevels()[0].GetLane() }

// Each case makes the example looser in one place, and stricter the other way round.
func TestWhatIsLoosenedOfTheRest(t *testing.T) {
	const hour = time.Hour
	for want, change := range map[string]func(*policyv1.Procedure){
		"alerts error-budget is gone":                                                   func(d *policyv1.Procedure) { d.Alerts = d.GetAlerts()[:1] },
		"alerts error-budget.bypassable is true instead of false":                       func(d *policyv1.Procedure) { d.Alerts[1].Bypassable = true },
		"alerts error-budget.environments is production instead of nothing":             func(d *policyv1.Procedure) { d.Alerts[1].Environments = []string{"production"} },
		"audiences board.risk_from is 50 instead of 40":                                 func(d *policyv1.Procedure) { board(d).RiskFrom = 50 },
		"audiences board.tiers is 1 instead of 1, 2":                                    func(d *policyv1.Procedure) { board(d).Tiers = []uint32{1} },
		"audiences board.targets is shop-eu1 instead of shop-eu1, shop-eu2":             func(d *policyv1.Procedure) { board(d).Targets = board(d).GetTargets()[:1] },
		"a release that weighs 20 or more needs 1 approvals of sre instead of 2":        func(d *policyv1.Procedure) { d.RiskScore.Levels[1].Approvals[0].Count = 1 },
		"the lane standard of a release that weighs 1 or more is for more environments": func(d *policyv1.Procedure) { lane(d).Environments = []string{"cards", "production"} },
		"the lane standard of a release that weighs 1 or more is for more services":     func(d *policyv1.Procedure) { lane(d).Services = []string{"shop", "billing"} },
		"the lane standard of a release that weighs 1 or more rests on fewer gates":     func(d *policyv1.Procedure) { lane(d).Gates = nil },
		"risk_score is gone":                                        func(d *policyv1.Procedure) { d.RiskScore = nil },
		"risk_score.weights.emergency is 9 instead of 10":           func(d *policyv1.Procedure) { d.RiskScore.Weights.Emergency = 9 },
		"risk_score.levels 40.first_wave is 0 instead of 1":         func(d *policyv1.Procedure) { d.RiskScore.Levels[2].FirstWave = 0 },
		"risk_score.levels 40.other_waves is 0 instead of 4":        func(d *policyv1.Procedure) { d.RiskScore.Levels[2].OtherWaves = 0 },
		"risk_score.levels 40.other_waves is 5 instead of 4":        func(d *policyv1.Procedure) { d.RiskScore.Levels[2].OtherWaves = 5 },
		"risk_score.levels 40.bake is 10m0s instead of 30m0s":       func(d *policyv1.Procedure) { d.RiskScore.Levels[2].Bake = durationpb.New(10 * time.Minute) },
		"audiences customers.acknowledge is gone":                   func(d *policyv1.Procedure) { d.Audiences[1].Acknowledge = nil },
		"audiences responsible.dependents is false instead of true": func(d *policyv1.Procedure) { d.Audiences[0].Dependents = false },
		"stand_ins.longest is 400h0m0s instead of 336h0m0s":         func(d *policyv1.Procedure) { d.StandIns.Longest = durationpb.New(400 * hour) },
		"stand_ins.groups is nothing instead of sre":                func(d *policyv1.Procedure) { d.StandIns.Groups = nil },
		"environments production.required_controls is image_digests instead of image_digests, pod_security": func(d *policyv1.Procedure) {
			d.Environments[0].RequiredControls = []string{"image_digests"}
		},
		"emergency.quota is gone":                                                                 func(d *policyv1.Procedure) { d.Emergency.Quota = nil },
		"gates tests.waivable.max is 100h0m0s instead of 72h0m0s":                                 func(d *policyv1.Procedure) { d.Gates[1].Waivable.Max = durationpb.New(100 * hour) },
		"gates provenance.waivable is there":                                                      func(d *policyv1.Procedure) { d.Gates[2].Waivable = &policyv1.Waivable{Max: durationpb.New(hour)} },
		"gates tests.max_age is nothing instead of 168h0m0s":                                      func(d *policyv1.Procedure) { d.Gates[1].MaxAge = nil },
		"change_records change-request.require_window is false instead of true":                   func(d *policyv1.Procedure) { d.ChangeRecords[0].RequireWindow = false },
		"environments production.approvals sre.signed is false instead of true":                   func(d *policyv1.Procedure) { d.Environments[0].Approvals[1].Signed = false },
		"people carol.signing_keys " + revokedKey + ".revoked is false instead of true":           func(d *policyv1.Procedure) { d.People[2].SigningKeys[1].Revoked = false },
		"people dave.signing_identities dave.dvorak@old.example.revoked is false instead of true": func(d *policyv1.Procedure) { d.People[3].SigningIdentities[1].Revoked = false },
		"freezes weekend.override_people is dave, erin instead of dave":                           func(d *policyv1.Procedure) { d.Freezes[0].OverridePeople = []string{"dave", "erin"} },
		"channels operations.required is false instead of true":                                   func(d *policyv1.Procedure) { d.Channels[0].Required = false },
		"keys ci-tests.gates is tests, provenance instead of tests":                               func(d *policyv1.Procedure) { d.Keys[1].Gates = []string{"tests", "provenance"} },
		"deadlines.approval_valid is 100h0m0s instead of 72h0m0s":                                 func(d *policyv1.Procedure) { d.Deadlines.ApprovalValid = durationpb.New(100 * hour) },
		"referrers is true instead of false":                                                      nil,
		"somebody of developers may sign off check ledger of shop": func(d *policyv1.Procedure) {
			signedOff(d).Groups = append(signedOff(d).GetGroups(), "developers")
		},
	} {
		before := fullExample(t)
		after := proto.CloneOf(before)
		if change == nil {
			before.Referrers = false
		} else {
			change(after)
		}
		if after.GetRiskScore() == nil {
			before.RiskScore.Levels[0].Lane = nil // One that comes with a score demands less.
		}
		if got := Loosened(before, after); !slices.Contains(got, want) {
			t.Errorf("it says %q, want %s", got, want)
		}
		if got := Loosened(after, before); len(got) > 0 {
			t.Errorf("the other way round of %s it says %q", want, got)
		}
	}
	if got := Loosened(fullExample(t), fullExample(t)); len(got) > 0 {
		t.Errorf("nothing was changed, and it says %q", got)
	}
}

const revokedKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIETC+CMW2WPx9+M8yBXILLz8G4zrB2MYP/M5kwbGjEC8"

// TestASubjectOfTwoIssuersIsTwoIdentities: a document that nobody changed demands nothing less.
func TestASubjectOfTwoIssuersIsTwoIdentities(t *testing.T) {
	document := func(issuers ...string) *policyv1.Procedure {
		d := fullExample(t)
		d.People[3].SigningIdentities = nil
		for _, issuer := range issuers {
			d.People[3].SigningIdentities = append(d.People[3].SigningIdentities, &policyv1.PersonIdentity{Issuer: issuer, Subject: "dave@shop.example"})
		}
		return d
	}
	one, two := "https://one.example", "https://two.example"
	if got := Loosened(document(one, two), document(one, two)); len(got) > 0 {
		t.Errorf("nothing was changed: %q", got)
	}
	if got := Loosened(document(one), document(one, two)); len(got) != 1 {
		t.Errorf("one was added: %q", got)
	}
}

// TestWhoSignsOffLessIsNamed: what of a sign-off demands less is said in words that people can judge,
// and nothing of what demands more.
func TestWhoSignsOffLessIsNamed(t *testing.T) {
	before := fullExample(t)
	for name, test := range map[string]struct {
		change func(*policyv1.Procedure)
		want   []string
	}{
		"another group": {func(d *policyv1.Procedure) { signedOff(d).Groups = []string{"sre", "developers"} }, []string{"somebody of developers may sign off check ledger of shop"}},
		"fewer groups":  {func(d *policyv1.Procedure) { signedOff(d).Groups = []string{"sre"} }, nil},
		"less time":     {func(d *policyv1.Procedure) { signedOff(d).Within = durationpb.New(time.Minute) }, nil},
		"another question": {func(d *policyv1.Procedure) { signedOff(d).Question = "Is it there?" }, []string{
			`who signs off check ledger of shop is asked "Is it there?" instead of "Do the sums of the ledger and of the bank agree for the orders since the release?"`,
		}},
		"another end of a long question": {func(d *policyv1.Procedure) { signedOff(d).Question += " Or is the difference known?" }, []string{
			`who signs off check ledger of shop is asked "Do the sums of the ledger and of the bank agree for the orders since the release? Or is the difference known?" instead of "Do the sums of the ledger and of the bank agree for the orders since the release?"`,
		}},
		"a program in place of people": {func(d *policyv1.Procedure) {
			ledger(d).Probe = &releasev1.Check_Command{Command: &releasev1.CommandProbe{Command: "stock"}}
		}, []string{"nobody signs off check ledger of shop", "services shop.checks ledger.command is something else instead of nothing"}},
		"it is gone": {func(d *policyv1.Procedure) {
			d.Services[0].Checks = slices.DeleteFunc(d.GetServices()[0].GetChecks(), func(c *releasev1.Check) bool { return c.GetSignOff() != nil })
		}, []string{"services shop.checks ledger is gone"}},
	} {
		after := proto.CloneOf(before)
		test.change(after)
		if got := Loosened(before, after); !slices.Equal(got, test.want) {
			t.Errorf("%s: it says %q, want %q", name, got, test.want)
		}
	}
}

// ledger is the check of the example that people answer, and signedOff what they are asked.
func ledger(d *policyv1.Procedure) *releasev1.Check {
	return find(d.GetServices()[0].GetChecks(), "ledger", (*releasev1.Check).GetName)
}

func signedOff(d *policyv1.Procedure) *releasev1.SignOffProbe { return ledger(d).GetSignOff() }

// board is the audience of the example that is chosen by what is important and dangerous.
func board(d *policyv1.Procedure) *policyv1.Audience {
	return find(d.GetAudiences(), "board", (*policyv1.Audience).GetName)
}
