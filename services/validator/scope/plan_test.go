package scope_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// planned finds plans as if they had been read.
type planned map[string]*releasev1.PinnedArtifact

func (p planned) Pin(_ context.Context, a *releasev1.Artifact) (*releasev1.PinnedArtifact, error) {
	out := proto.CloneOf(p[a.GetName()])
	out.Name, out.Kind, out.Location, out.Digest = a.GetName(), a.GetKind(), a.GetLocation(), a.GetDigest()
	return out, nil
}

// TestWhatPlansWouldChangeIsShownAndHeldAgainstEachOther: what is destroyed is called out, what
// nobody knows is said, and a JSON form of something else is refused; an emergency is not.
func TestWhatPlansWouldChangeIsShownAndHeldAgainstEachOther(t *testing.T) {
	const saved, form = releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN, releasev1.ArtifactKind_ARTIFACT_KIND_TERRAFORM_PLAN_JSON
	w := newWorld(t, document(""))
	gone := &releasev1.PlanChanges{Delete: 1, Update: 2, Digest: "sha256:1", Changes: []*releasev1.ResourceChange{
		{Address: "shop_db.main", Action: releasev1.ResourceChange_ACTION_DELETE}, {Address: "shop_host.web", Action: releasev1.ResourceChange_ACTION_UPDATE},
	}}
	w.pins(planned{
		"plan":    {Title: "plan of Terraform 1.9.5", Plan: gone},
		"json":    {Title: "plan of Terraform 1.9.5 in JSON", Plan: gone},
		"other":   {Title: "plan of Terraform 1.9.5 in JSON", Plan: &releasev1.PlanChanges{Update: 3, Digest: "sha256:2"}},
		"by 1.8":  {Title: "plan of Terraform 1.8.0 in JSON", Plan: gone},
		"nothing": {Title: "plan of Terraform 1.9.5", Plan: &releasev1.PlanChanges{Digest: "sha256:3"}},
	})
	for _, test := range []struct {
		name string
		want string
		lane func(*releasev1.Request)
		all  map[string]releasev1.ArtifactKind
	}{
		{"both", "plan.destroys plan WARNING", nil, map[string]releasev1.ArtifactKind{"plan": saved, "json": form}},
		{"the saved plan alone", "plan.destroys plan WARNING, plan.attributes plan WARNING", nil, map[string]releasev1.ArtifactKind{"plan": saved}},
		{"the JSON form alone", "plan.destroys json WARNING, plan.alone json WARNING", nil, map[string]releasev1.ArtifactKind{"json": form}},
		{"a form of something else", "plan.destroys plan WARNING, plan.attributes plan WARNING, plan.differs other BLOCKING", nil, map[string]releasev1.ArtifactKind{"plan": saved, "other": form}},
		{"by another version", "plan.destroys plan WARNING, plan.attributes plan WARNING, plan.differs by 1.8 BLOCKING", nil, map[string]releasev1.ArtifactKind{"plan": saved, "by 1.8": form}},
		{"in an emergency", "plan.destroys plan WARNING, plan.attributes plan WARNING, plan.differs other WARNING", proceduretest.Emergency, map[string]releasev1.ArtifactKind{"plan": saved, "other": form}},
		{"a plan of nothing", "plan.changes nothing OK, plan.attributes nothing WARNING", nil, map[string]releasev1.ArtifactKind{"nothing": saved}},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, s, err := w.look(t, func(r *releasev1.Request) {
				one := r.GetArtifacts()[0]
				r.Artifacts = nil
				for name, kind := range test.all {
					a := proto.CloneOf(one)
					a.Name, a.Kind = name, kind
					r.Artifacts = append(r.Artifacts, a)
				}
				if test.lane != nil {
					test.lane(r)
				}
			})
			found = slices.DeleteFunc(found, func(f string) bool { return !strings.HasPrefix(f, "plan.") })
			if got := strings.Join(found, ", "); err != nil || got != test.want {
				t.Errorf("found %s, %v", got, err)
			}
			for _, f := range s.Findings {
				if f.GetRule() == "plan.destroys" && !strings.Contains(f.GetMessage(), "1 to DESTROY: what is there is gone: shop_db.main") {
					t.Errorf("it says %q", f.GetMessage())
				}
			}
			if len(s.Artifacts) == 0 {
				return
			}
			before := procedure.ChangeDigest(s)
			s.Artifacts[0].Plan.Delete++
			if procedure.ChangeDigest(s) == before {
				t.Error("what a plan would change is no part of what is approved")
			}
		})
	}
}
