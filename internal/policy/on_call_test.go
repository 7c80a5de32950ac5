package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/internal/shape"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const week = 7 * 24 * time.Hour

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func turns(name, begin string, shift time.Duration, people ...string) *policyv1.Rota {
	return &policyv1.Rota{Name: name, People: people, Begin: begin, Shift: durationpb.New(shift), TimeZone: "Europe/Berlin"}
}

func takeover(t *testing.T, person, from, until string) *policyv1.OnCallOverride {
	t.Helper()
	return &policyv1.OnCallOverride{Person: person, From: timestamppb.New(at(t, from)), Until: timestamppb.New(at(t, until)), Reason: "swapped"}
}

// people are a document of nobody else, with a group of one member and those on call.
func people(call *policyv1.OnCall) *policyv1.Procedure {
	return &policyv1.Procedure{
		People: []*policyv1.Person{
			{Id: "anna", Aliases: []string{"anna@shop.example"}},
			{Id: "ben"},
			{Id: "cleo"},
			{Id: "dan"},
			{Id: "eve"},
			{Id: "robot", Machine: true},
			{Id: "hugo", Inactive: true},
		},
		Groups: []*policyv1.Group{{Name: "sre", Members: []string{"eve"}, OnCall: call}},
	}
}

// TestOnePersonIsOnCallEveryMinuteOfAYear goes through a year with both changes of the clock,
// two rotas and two overrides, and compares with who looks at the clock on the wall.
func TestOnePersonIsOnCallEveryMinuteOfAYear(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	x := NewIndex(people(&policyv1.OnCall{
		Rotas: []*policyv1.Rota{
			turns("first", "2026-01-05T09:00", week, "anna", "ben", "cleo"),
			// It begins on a Wednesday, in the middle of a shift, and hands over at a time
			// that the clock shows twice on 25 October.
			turns("second", "2026-07-01T02:30", 12*time.Hour, "dan", "anna"),
		},
		Overrides: []*policyv1.OnCallOverride{
			takeover(t, "dan", "2026-03-29T00:10:00Z", "2026-03-31T00:10:00Z"), // over a change of the clock and a hand-over
			takeover(t, "eve", "2026-06-30T23:00:00Z", "2026-07-01T01:00:00Z"), // over the end of the first rota
		},
	}))
	shown := func(at time.Time) string { return at.In(zone).Format("2006-01-02T15:04") }
	first, second := []string{"anna", "ben", "cleo"}, []string{"dan", "anna"}
	turn, night, now := -1, -1, ""
	next := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	late := time.Date(2026, 7, 1, 2, 30, 0, 0, time.UTC)
	var was string
	var until time.Time
	for m := at(t, "2026-01-01T00:00:00Z"); m.Before(at(t, "2027-01-05T00:00:00Z")); m = m.Add(time.Minute) {
		for shown(m) >= next.Format("2006-01-02T15:04") {
			turn, next = turn+1, next.Add(week)
		}
		for shown(m) >= late.Format("2006-01-02T15:04") {
			night, late = night+1, late.Add(12*time.Hour)
		}
		switch moment := m.Format(time.RFC3339); {
		case moment >= "2026-03-29T00:10:00Z" && moment < "2026-03-31T00:10:00Z":
			now = "dan"
		case moment >= "2026-06-30T23:00:00Z" && moment < "2026-07-01T01:00:00Z":
			now = "eve"
		case night >= 0:
			now = second[night%2]
		case turn >= 0:
			now = first[turn%3]
		}
		person, shift := x.OnCall("sre", m)
		if person != now || (shift == nil) != (now == "") {
			t.Fatalf("at %s, %s in Berlin: %q is on call (%v), want %q", m, shown(m), person, shift, now)
		}
		if shift == nil {
			continue
		}
		// Each span touches the next one, and nobody is on call beyond it.
		if m.Before(shift.GetFrom().AsTime()) || !m.Before(shift.GetUntil().AsTime()) {
			t.Fatalf("at %s: %v", m, shift)
		}
		if was != "" && !m.Before(until) && !shift.GetFrom().AsTime().Equal(until) || was != "" && m.Before(until) && was != person {
			t.Fatalf("at %s: %v by %s, and %s was until %s", m, shift, person, was, until)
		}
		was, until = person, shift.GetUntil().AsTime()
	}
}

// TestAHandOverIsAnInstant: it belongs to who begins.
func TestAHandOverIsAnInstant(t *testing.T) {
	x := NewIndex(people(&policyv1.OnCall{
		Rotas:     []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, "anna", "ben"), turns("daily", "2026-11-04T12:00", 24*time.Hour, "dan", "cleo")},
		Overrides: []*policyv1.OnCallOverride{takeover(t, "cleo", "2026-01-07T12:00:00Z", "2026-01-08T12:00:00Z")},
	}))
	for moment, want := range map[string]string{
		"2026-01-05T07:59:59.999999999Z": "",
		"2026-01-05T08:00:00Z":           "anna 1 2026-01-05T08:00:00Z 2026-01-07T12:00:00Z ",
		"2026-01-07T11:59:59.999999999Z": "anna 1 2026-01-05T08:00:00Z 2026-01-07T12:00:00Z ",
		"2026-01-07T12:00:00Z":           "cleo 1 2026-01-07T12:00:00Z 2026-01-08T12:00:00Z swapped",
		"2026-01-08T11:59:59.999999999Z": "cleo 1 2026-01-07T12:00:00Z 2026-01-08T12:00:00Z swapped",
		"2026-01-08T12:00:00Z":           "anna 1 2026-01-08T12:00:00Z 2026-01-12T08:00:00Z ",
		"2026-01-12T08:00:00Z":           "ben 2 2026-01-12T08:00:00Z 2026-01-19T08:00:00Z ",
		"2026-03-30T07:00:00Z":           "anna 13 2026-03-30T07:00:00Z 2026-04-06T07:00:00Z ", // at 09:00, which is an hour earlier by then
		"2026-10-26T08:00:00Z":           "anna 43 2026-10-26T08:00:00Z 2026-11-02T08:00:00Z ",
		// Another rota begins in the middle of a shift, which ends then.
		"2026-11-04T10:59:59.999999999Z": "ben 44 2026-11-02T08:00:00Z 2026-11-04T11:00:00Z ",
		"2026-11-04T11:00:00Z":           "dan 1 2026-11-04T11:00:00Z 2026-11-05T11:00:00Z ",
	} {
		person, s := x.OnCall("sre", at(t, moment))
		got := ""
		if s != nil {
			got = fmt.Sprintf("%s %d %s %s %s", person, s.GetNumber(), stamped(s.GetFrom().AsTime()), stamped(s.GetUntil().AsTime()), s.GetOverride())
			if s.GetGroup() != "sre" || (s.GetRota() == "daily") != (moment > "2026-11-04T11") {
				t.Errorf("at %s: %v", moment, s)
			}
		}
		if got != want {
			t.Errorf("at %s: %q, want %q", moment, got, want)
		}
	}
}

// TestWhoIsOnCallIsInTheGroupOnce: beside the members, and as one of them where they are one;
// nobody is for anything that asks for the members.
func TestWhoIsOnCallIsInTheGroupOnce(t *testing.T) {
	moment := at(t, "2026-01-06T00:00:00Z")
	for name, c := range map[string]struct {
		who    string
		people []string
		shifts int
	}{
		"a member":            {"eve", []string{"eve"}, 0},
		"nobody else":         {"anna", []string{"anna", "eve"}, 1},
		"a machine":           {"robot", []string{"eve"}, 0},
		"who has left":        {"hugo", []string{"eve"}, 0},
		"whom nobody knows":   {"zoe", []string{"eve"}, 0},
		"by another name too": {"anna@shop.example", []string{"anna", "eve"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			x := NewIndex(people(&policyv1.OnCall{Rotas: []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, c.who)}}))
			if got := x.PeopleAt("sre", moment); !slices.Equal(got, c.people) {
				t.Errorf("in the group: %v", got)
			}
			if got := x.Shifts(c.who, moment); len(got) != c.shifts {
				t.Errorf("shifts: %v", got)
			}
			if got := x.GroupsAt(c.who, moment); len(got) > 1 || (len(got) == 1) != slices.Contains(c.people, x.Person(c.who).GetId()) {
				t.Errorf("groups: %v", got)
			}
			if members, own := x.People("sre"), x.GroupsOf(c.who); !slices.Equal(members, []string{"eve"}) || len(own) > 0 != (c.who == "eve") {
				t.Errorf("the members are %v, and %s is one of %v", members, c.who, own)
			}
			if _, decides := x.Decides(c.who); decides && c.shifts > 0 {
				if groups, _ := x.Decides(c.who); len(groups) > 0 {
					t.Errorf("makes exceptions of freezes for %v", groups)
				}
			}
			if x.Members()["sre"][0] != "eve" || len(x.Members()["sre"]) != 1 {
				t.Errorf("rules of gates see %v", x.Members())
			}
		})
	}
}

// TestARotaThatIsNoneIsRefused names the field.
func TestARotaThatIsNoneIsRefused(t *testing.T) {
	good := func() *policyv1.OnCall {
		return &policyv1.OnCall{Rotas: []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, "alice", "bob")}}
	}
	for name, c := range map[string]struct {
		change      func(*policyv1.OnCall)
		field, rule string
	}{
		"as it should be":        {func(*policyv1.OnCall) {}, "", ""},
		"nobody at all":          {func(o *policyv1.OnCall) { o.Rotas[0].People = nil }, "rotas[0].people", "required"},
		"nobody for a turn":      {func(o *policyv1.OnCall) { o.Rotas[0].People[1] = "" }, "rotas[0].people[1]", "on_call.nobody"},
		"a stranger":             {func(o *policyv1.OnCall) { o.Rotas[0].People[1] = "zoe" }, "rotas[0].people[1]", "person.unknown"},
		"another name":           {func(o *policyv1.OnCall) { o.Rotas[0].People[1] = "bbrandt" }, "rotas[0].people[1]", "person.alias"},
		"who has left":           {func(o *policyv1.OnCall) { o.Rotas[0].People[1] = "gus" }, "rotas[0].people[1]", "person.inactive"},
		"a machine":              {func(o *policyv1.OnCall) { o.Rotas[0].People[1] = "ci-bot" }, "rotas[0].people[1]", "person.machine"},
		"a shift without length": {func(o *policyv1.OnCall) { o.Rotas[0].Shift = durationpb.New(0) }, "rotas[0].shift", "duration.gte_lte"},
		"no shift":               {func(o *policyv1.OnCall) { o.Rotas[0].Shift = nil }, "rotas[0].shift", "required"},
		"a shift of seconds":     {func(o *policyv1.OnCall) { o.Rotas[0].Shift = durationpb.New(time.Hour + time.Second) }, "rotas[0].shift", "on_call.shift"},
		"no zone":                {func(o *policyv1.OnCall) { o.Rotas[0].TimeZone = "Europe/Atlantis" }, "rotas[0].time_zone", "time_zone.unknown"},
		"this machine's zone":    {func(o *policyv1.OnCall) { o.Rotas[0].TimeZone = "Local" }, "rotas[0].time_zone", "time_zone.unknown"},
		"no day":                 {func(o *policyv1.OnCall) { o.Rotas[0].Begin = "2026-02-30T09:00" }, "rotas[0].begin", "on_call.begin"},
		"no rota":                {func(o *policyv1.OnCall) { o.Rotas = nil }, "rotas", "required"},
		"two of one name": {func(o *policyv1.OnCall) {
			o.Rotas = append(o.Rotas, turns("weekly", "2026-07-06T09:00", week, "bob"))
		}, "rotas[1].name", "duplicate"},
		"one that begins with the one before it": {func(o *policyv1.OnCall) {
			o.Rotas = append(o.Rotas, turns("other", "2026-01-05T09:00", week, "bob"))
		}, "rotas[1].begin", "on_call.order"},
		"an override by a stranger": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{takeover(t, "zoe", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z")}
		}, "overrides[0].person", "person.unknown"},
		"an override by a machine": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{takeover(t, "ci-bot", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z")}
		}, "overrides[0].person", "person.machine"},
		"an override without length": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{takeover(t, "carol", "2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z")}
		}, "overrides[0].until", "on_call.span"},
		"an override without a reason": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{takeover(t, "carol", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z")}
			o.Overrides[0].Reason = ""
		}, "overrides[0].reason", "required"},
		"an override of nobody, and a gap behind it": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{takeover(t, "carol", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")}
		}, "overrides[0].from", "on_call.gap"},
		"two overrides at a time": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{
				takeover(t, "carol", "2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z"), takeover(t, "dave", "2026-02-02T23:59:59Z", "2026-02-04T00:00:00Z"),
			}
		}, "overrides[1].from", "on_call.overlap"},
		"two overrides that touch": {func(o *policyv1.OnCall) {
			o.Overrides = []*policyv1.OnCallOverride{
				takeover(t, "carol", "2026-02-01T00:00:00Z", "2026-02-03T00:00:00Z"), takeover(t, "dave", "2026-02-03T00:00:00Z", "2026-02-04T00:00:00Z"),
			}
		}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := fullExample(t)
			call := good()
			c.change(call)
			d.Groups[4].OnCall = call
			found, err := shape.Check(d)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, Check(d)...)
			field := "groups[4].on_call." + c.field
			if c.field == "" {
				if len(found) > 0 {
					t.Errorf("%v", found)
				}
				return
			}
			if !slices.ContainsFunc(found, func(v strictyaml.Violation) bool { return v.Field == field && v.Rule == c.rule && v.Message != "" }) {
				t.Errorf("%v, want %s of %s", found, c.rule, field)
			}
		})
	}
}

// TestNobodyIsOnCallForTooManyGroups: every decision names the shifts.
func TestNobodyIsOnCallForTooManyGroups(t *testing.T) {
	d := fullExample(t)
	for i := range maxRostered + 1 {
		d.Groups = append(d.Groups, &policyv1.Group{Name: fmt.Sprintf("more-%d", i), OnCall: &policyv1.OnCall{
			Rotas: []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, "gwen")},
		}})
	}
	d.People = append(d.People, &policyv1.Person{Id: "gwen", Name: "Gwen"})
	found := Check(d)
	if len(found) != 1 || found[0].Rule != "on_call.many" || found[0].Field != fmt.Sprintf("people[%d].id", len(d.GetPeople())-1) {
		t.Errorf("%v", found)
	}
}

// TestWhoIsOnCallMakesAGroupLargeEnough where they are somebody else than the members at all
// times, for what they may do, and not before anybody is on call.
func TestWhoIsOnCallMakesAGroupLargeEnough(t *testing.T) {
	for name, c := range map[string]struct {
		members, turns []string
		now, want      string
	}{
		"always one more":            {[]string{"dave"}, []string{"erin", "frank"}, "2026-06-01T00:00:00Z", ""},
		"only at times one more":     {[]string{"dave"}, []string{"erin", "dave"}, "2026-06-01T00:00:00Z", "group.small"},
		"enough without":             {[]string{"dave", "erin"}, []string{"erin", "dave"}, "2026-06-01T00:00:00Z", ""},
		"one more, from later on":    {[]string{"dave"}, []string{"erin", "frank"}, "2025-06-01T00:00:00Z", "on_call.gap"},
		"enough, and later one more": {[]string{"dave", "erin"}, []string{"frank"}, "2025-06-01T00:00:00Z", ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := fullExample(t)
			d.Groups = append(d.Groups, &policyv1.Group{Name: "duty", Members: c.members, OnCall: &policyv1.OnCall{
				Rotas: []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, c.turns...)},
			}})
			d.NoRollbackApprovals = []*policyv1.Approvals{{Group: "duty", Count: 2}}
			found := append(Check(d), Gaps(d, at(t, c.now))...)
			if c.want == "" {
				if len(found) > 0 {
					t.Errorf("%v", found)
				}
				return
			}
			// That too few of them can sign is said besides.
			field := map[string]string{"group.small": "no_rollback_approvals[0].group", "on_call.gap": "groups[6].on_call.rotas[0].begin"}[c.want]
			if !slices.ContainsFunc(found, func(v strictyaml.Violation) bool { return v.Rule == c.want && v.Field == field }) {
				t.Errorf("%v, want %s of %s", found, c.want, field)
			}
		})
	}
	// What is not done by who is on call needs members.
	for name, change := range map[string]func(*policyv1.Procedure){
		"emergency.review_group":         func(d *policyv1.Procedure) { d.Emergency.ReviewGroup = "duty" },
		"quarantine.group":               func(d *policyv1.Procedure) { d.Quarantine.Group = "duty" },
		"change_control.approvals.group": func(d *policyv1.Procedure) { d.ChangeControl.Approvals.Group = "duty" },
		"freezes[0].override_groups[0]":  func(d *policyv1.Procedure) { d.Freezes[0].OverrideGroups = []string{"duty"} },
	} {
		d := fullExample(t)
		d.Groups = append(d.Groups, &policyv1.Group{Name: "duty", OnCall: &policyv1.OnCall{
			Rotas: []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, "erin")},
		}})
		change(d)
		if !slices.ContainsFunc(Check(d), func(v strictyaml.Violation) bool { return v.Field == name && v.Rule == "group.small" }) {
			t.Errorf("%s: %v", name, Check(d))
		}
	}
}

// TestAShiftIsTheSameAtEachOfItsMoments, so that it can be derived again; but that who takes
// over over a hand-over stands in the place of one shift before it and another after it.
func TestAShiftIsTheSameAtEachOfItsMoments(t *testing.T) {
	x := NewIndex(people(&policyv1.OnCall{
		Rotas: []*policyv1.Rota{
			turns("first", "2026-03-02T09:00", 24*time.Hour, "anna", "ben"), turns("second", "2026-03-30T02:30", 12*time.Hour, "dan", "anna"),
		},
		Overrides: []*policyv1.OnCallOverride{
			takeover(t, "dan", "2026-03-10T10:00:00Z", "2026-03-10T11:00:00Z"), // twice within a shift
			takeover(t, "cleo", "2026-03-10T15:00:00Z", "2026-03-10T16:00:00Z"),
			takeover(t, "cleo", "2026-03-12T05:00:00Z", "2026-03-13T22:00:00Z"), // over two hand-overs
			takeover(t, "eve", "2026-03-29T23:00:00Z", "2026-03-30T01:00:00Z"),  // over the end of the first rota
		},
	}))
	seen, numbers := map[string]bool{}, map[string]bool{}
	for m := at(t, "2026-03-08T00:00:00Z"); m.Before(at(t, "2026-04-02T00:00:00Z")); m = m.Add(17 * time.Minute) {
		who, shift := x.OnCall("sre", m)
		for _, other := range []time.Time{shift.GetFrom().AsTime(), shift.GetUntil().AsTime().Add(-1)} {
			person, again := x.OnCall("sre", other)
			if seen[again.String()] = true; again.GetOverride() != "" {
				numbers[fmt.Sprint(again.GetRota(), again.GetNumber(), again.GetFrom())] = true
				again.Rota, again.Number = shift.GetRota(), shift.GetNumber()
			}
			if person != who || !proto.Equal(again, shift) {
				t.Fatalf("at %s %s is in the shift %v, at %s %s in %v", m, who, shift, other, person, again)
			}
		}
	}
	if len(seen) < 20 || len(numbers) != 6 {
		t.Errorf("seen were %d shifts, and overrides in %v", len(seen), numbers)
	}
}

// TestAnotherRotaIsSaidToLoosen: whoever approves the change is told who may approve at other
// times, and who for the first time.
func TestAnotherRotaIsSaidToLoosen(t *testing.T) {
	was := func() *policyv1.Procedure {
		return people(&policyv1.OnCall{
			Rotas:     []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, "anna", "ben")},
			Overrides: []*policyv1.OnCallOverride{takeover(t, "cleo", "2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z")},
		})
	}
	for name, c := range map[string]struct {
		change  func(*policyv1.OnCall)
		says    string
		widened string
	}{
		"somebody more":     {func(o *policyv1.OnCall) { o.Rotas[0].People = append(o.Rotas[0].People, "dan") }, "groups sre.on_call.rotas weekly.people is anna, ben, dan instead of anna, ben", "dan: be on call for sre"},
		"somebody less":     {func(o *policyv1.OnCall) { o.Rotas[0].People = o.GetRotas()[0].GetPeople()[:1] }, "groups sre.on_call.rotas weekly.people is anna instead of anna, ben", ""},
		"in another order":  {func(o *policyv1.OnCall) { slices.Reverse(o.GetRotas()[0].GetPeople()) }, "groups sre.on_call.rotas weekly.people is ben, anna instead of anna, ben", ""},
		"longer shifts":     {func(o *policyv1.OnCall) { o.Rotas[0].Shift = durationpb.New(2 * week) }, "groups sre.on_call.rotas weekly.shift is 336h0m0s instead of 168h0m0s", ""},
		"another beginning": {func(o *policyv1.OnCall) { o.Rotas[0].Begin = "2026-01-12T09:00" }, `groups sre.on_call.rotas weekly.begin is "2026-01-12T09:00" instead of "2026-01-05T09:00"`, ""},
		"another zone":      {func(o *policyv1.OnCall) { o.Rotas[0].TimeZone = "UTC" }, `groups sre.on_call.rotas weekly.time_zone is "UTC" instead of "Europe/Berlin"`, ""},
		"another rota": {func(o *policyv1.OnCall) {
			o.Rotas = append(o.Rotas, turns("later", "2026-07-06T09:00", week, "dan"))
		}, "groups sre.on_call.rotas later is there", "dan: be on call for sre"},
		"somebody takes over": {func(o *policyv1.OnCall) {
			o.Overrides = append(o.Overrides, takeover(t, "dan", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"))
		}, "dan is on call for sre from 2026-03-01T00:00:00Z until 2026-03-02T00:00:00Z", "dan: be on call for sre from 2026-03-01T00:00:00Z until 2026-03-02T00:00:00Z"},
		"for longer": {func(o *policyv1.OnCall) {
			o.Overrides[0].Until = timestamppb.New(at(t, "2026-02-03T00:00:00Z"))
		}, "cleo is on call for sre from 2026-02-01T00:00:00Z until 2026-02-03T00:00:00Z", "cleo: be on call for sre from 2026-02-01T00:00:00Z until 2026-02-03T00:00:00Z"},
		"nobody takes over":  {func(o *policyv1.OnCall) { o.Overrides = nil }, "whom the rota says is on call for sre from 2026-02-01T00:00:00Z until 2026-02-02T00:00:00Z, and not cleo", ""},
		"for another reason": {func(o *policyv1.OnCall) { o.Overrides[0].Reason = "other words" }, "", ""},
	} {
		before, after := was(), was()
		c.change(after.GetGroups()[0].GetOnCall())
		loosened := Loosened(before, after)
		if c.says == "" && len(loosened) > 0 || c.says != "" && !slices.Contains(loosened, c.says) {
			t.Errorf("%s: %q", name, loosened)
		}
		var widened []string
		for person, rights := range Widened(NewIndex(before), NewIndex(after)) {
			for _, r := range rights {
				widened = append(widened, person+": "+r)
			}
		}
		if strings.Join(widened, "; ") != c.widened {
			t.Errorf("%s widens %q", name, widened)
		}
	}
	without := was()
	without.Groups[0].OnCall = nil
	if got := Loosened(without, was()); !slices.Contains(got, "groups sre.on_call is there") {
		t.Errorf("a rota where there was none: %q", got)
	}
	if got := slices.Sorted(maps.Keys(Widened(NewIndex(without), NewIndex(was())))); !slices.Equal(got, []string{"anna", "ben", "cleo"}) {
		t.Errorf("a rota where there was none widens the rights of %v", got)
	}
	if got := Loosened(was(), without); len(got) > 0 {
		t.Errorf("nobody on call any more: %q", got)
	}
}

// TestWhoIsOnCallHasAStandIn for while they are, where the procedure has such, and no longer.
func TestWhoIsOnCallHasAStandIn(t *testing.T) {
	d := people(&policyv1.OnCall{Rotas: []*policyv1.Rota{turns("weekly", "2026-01-05T09:00", week, "anna", "ben")}})
	d.StandIns = &policyv1.StandIns{Longest: durationpb.New(20 * 24 * time.Hour)}
	x := NewIndex(d)
	given := &releasev1.Delegation{Number: 1, Person: "anna", StandIn: "dan", Groups: []string{"sre"}, From: timestamppb.New(at(t, "2026-01-06T00:00:00Z")), Until: timestamppb.New(at(t, "2026-01-20T00:00:00Z"))}
	own := append(x.Rostered("anna"), x.GroupsOf("anna")...)
	if field, err := x.CheckDelegation(nil, given, own, given.GetFrom().AsTime()); err != nil {
		t.Fatalf("%s: %v", field, err)
	}
	if field, err := x.CheckDelegation(nil, given, x.GroupsOf("anna"), given.GetFrom().AsTime()); err == nil || field != "groups[0]" {
		t.Errorf("of a group that somebody is neither in nor on call for: %s, %v", field, err)
	}
	all := []*releasev1.Delegation{given}
	right := x.StandIn(all, "anna", "dan", at(t, "2026-01-07T00:00:00Z"))
	if len(right.GetOnCall()) != 1 || right.GetOnCall()[0].GetNumber() != 1 || !slices.Equal(right.GetGroups(), []string{"sre"}) {
		t.Errorf("while anna is on call: %v", right)
	}
	if right := x.StandIn(all, "anna", "dan", at(t, "2026-01-12T08:00:00Z")); right != nil {
		t.Errorf("when ben is: %v", right)
	}
	other := proto.CloneOf(d)
	other.Groups[0].ProviderGroup = "sre"
	if right := NewIndex(other).StandIn(all, "anna", "dan", at(t, "2026-01-07T00:00:00Z")); right != nil {
		t.Errorf("of a group of a provider: %v", right)
	}
}
