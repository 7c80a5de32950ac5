package freeze_test

import (
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/blackdice/shipwarden/internal/freeze"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Few names of each kind, so that what is drawn for itself meets.
var (
	environments = []string{"production", "staging"}
	services     = []string{"cart", "shop"}
	targets      = []string{"ap1", "eu1", "us1"}
	customers    = []string{"acme", "globex"}
	people       = []string{"anna", "bert", "robot"}
	commanders   = []string{"captains", "commanders"}
)

// drawSome draws names: mostly none, which means all, or one.
func drawSome(t *rapid.T, label string, names []string) []string {
	switch rapid.IntRange(0, 4).Draw(t, label) {
	case 0, 1:
		return []string{rapid.SampledFrom(names).Draw(t, label+" one")}
	case 2:
		return drawSet(t, label, names)
	}
	return nil
}

func drawSet(t *rapid.T, label string, names []string) (out []string) {
	for _, name := range names {
		if rapid.Bool().Draw(t, label+" "+name) {
			out = append(out, name)
		}
	}
	return out
}

// drawSelected draws a window that concerns some releases, some of which may go around it.
func drawSelected(t *rapid.T, name string, at time.Time, m *model, allows bool) drawn {
	f, zone, occurrences := drawWindow(t, name, at, m)
	if allows {
		f.Kind = policyv1.Freeze_KIND_ALLOW
	}
	f.Environments = drawSome(t, name+" environments", environments)
	f.Services = drawSome(t, name+" services", services)
	f.Targets = drawSome(t, name+" targets", targets)
	f.Customers = drawSome(t, name+" customers", customers)
	if rapid.Bool().Draw(t, name+" for one") {
		f.Targets = []string{rapid.SampledFrom(targets).Draw(t, name+" target")}
		f.Customers = []string{rapid.SampledFrom(customers).Draw(t, name+" customer")}
	}
	f.Bypassable = rapid.Bool().Draw(t, name+" bypassable")
	f.Overrun = rapid.SampledFrom([]policyv1.Freeze_Overrun{0, policyv1.Freeze_OVERRUN_STOP, policyv1.Freeze_OVERRUN_FINISH, policyv1.Freeze_OVERRUN_ROLL_BACK}).Draw(t, name+" overrun")
	f.OverridePeople = drawSet(t, name+" named", people)
	f.OverrideGroups = drawSet(t, name+" named", commanders)
	d := drawn{freeze: f, active: make([]bool, before+after)}
	m.active(d.active, f, zone, occurrences)
	return d
}

// drawDocument draws a document with these windows, as it knows its targets and people: a
// target that it lacks serves nobody.
func drawDocument(t *rapid.T, name string, windows []drawn) document {
	d := document{windows: windows, Procedure: &policyv1.Procedure{}}
	for _, id := range targets {
		if rapid.IntRange(0, 4).Draw(t, name+" lacks "+id) > 0 {
			d.Targets = append(d.Targets, &policyv1.Target{Id: id, Customers: drawSet(t, name+" "+id+" serves", customers)})
		}
	}
	for _, id := range people {
		d.People = append(d.People, &policyv1.Person{
			Id: id, Machine: id == "robot", Inactive: rapid.IntRange(0, 4).Draw(t, name+" "+id+" has left") == 0,
		})
	}
	for _, group := range commanders {
		d.Groups = append(d.Groups, &policyv1.Group{Name: group, Members: drawSet(t, name+" "+group, people)})
	}
	for _, w := range windows {
		d.Freezes = append(d.Freezes, w.freeze)
	}
	return d
}

// drawDocuments draws the document of a release and the one in effect, into which some
// windows were taken over as they are, some with another reason, and some were declared.
func drawDocuments(t *rapid.T, at time.Time, m *model) []document {
	var first, second []drawn
	// Which subjects a window opens is seen where several allow.
	allows := rapid.Bool().Draw(t, "all allow")
	for i := range rapid.IntRange(0, 3).Draw(t, "freezes") {
		w := drawSelected(t, string(rune('a'+i)), at, m, allows)
		first = append(first, w)
		switch rapid.SampledFrom([]string{"kept", "reworded", "gone"}).Draw(t, w.freeze.GetName()+" then") {
		case "kept":
			second = append(second, w)
		case "reworded":
			w.freeze = proto.CloneOf(w.freeze)
			w.freeze.Reason = "because of something else"
			second = append(second, w)
		}
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "declared") {
		second = append(second, drawSelected(t, string(rune('p'+i)), at, m, allows))
	}
	return []document{drawDocument(t, "own", first), drawDocument(t, "in effect", second)}
}

// drawRelease draws a release, and exceptions that people made for it of freezes of the
// documents as they stand there.
func drawRelease(t *rapid.T, documents []document) procedure.State {
	s := procedure.State{Request: &releasev1.Request{
		Environment: rapid.SampledFrom(environments).Draw(t, "environment"),
		Service:     rapid.SampledFrom(services).Draw(t, "service"),
		Trigger:     rapid.SampledFrom([]releasev1.Trigger{releasev1.Trigger_TRIGGER_PLANNED, releasev1.Trigger_TRIGGER_EMERGENCY}).Draw(t, "trigger"),
		Plan:        &releasev1.Plan{},
	}}
	for _, target := range drawSet(t, "to", targets) {
		s.Request.Plan.Waves = append(s.Request.GetPlan().GetWaves(), &releasev1.Wave{Targets: []string{target}})
	}
	if rapid.Bool().Draw(t, "under way") {
		s.Begun = []string{"eu1"}
	}
	for _, d := range documents {
		for _, w := range d.windows {
			if f := w.freeze; rapid.Bool().Draw(t, "exception of "+f.GetName()) {
				able := people
				if len(f.GetOverridePeople()) > 0 {
					able = f.GetOverridePeople()
				}
				s.Overrides = append(s.Overrides, procedure.Override{
					Freeze: f.GetName(), Digest: freeze.Digest(f),
					Person: rapid.SampledFrom(able).Draw(t, "exception by"), Groups: drawSet(t, "exception in", commanders),
				})
			}
		}
	}
	return s
}
