package scope_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve"
)

// asks is a check that asks a source of metrics.
func asks(source string) *releasev1.Check {
	return &releasev1.Check{Name: "of-" + source, Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
		Source: source, Query: "up", Range: &releasev1.NumberRange{Min: proto.Float64(1)},
	}}}
}

// counts is a check that asks a source of logs.
func counts(source string) *releasev1.Check {
	return &releasev1.Check{Name: "of-" + source, Probe: &releasev1.Check_Logs{Logs: &releasev1.LogProbe{
		Source: source, Selector: `{app="shop"}`, Lines: []*releasev1.LineFilter{{Filter: &releasev1.LineFilter_Contains{Contains: "error"}}},
		Range: &releasev1.NumberRange{Max: proto.Float64(0)}, Over: durationpb.New(time.Minute),
	}}}
}

// named is a check by another name.
func named(name string, c *releasev1.Check) *releasev1.Check {
	c.Name = name
	return c
}

// reached is a release whose checks may ask for what the validator cannot reach, in that world.
type reached struct {
	world  *world
	change []func(*releasev1.Request)
	// want is what is found of it by the rule, and ends that the release goes no further.
	want []string
	ends bool
}

// finds looks at the release, and compares what it finds by rules whose names begin so.
func (r reached) finds(t *testing.T, rule string) {
	t.Helper()
	resolver, err := resolve.New(resolve.Config{Folder: r.world.folder})
	if err != nil {
		t.Fatal(err)
	}
	r.world.pins(resolver)
	found, state, err := r.world.look(t, append(r.change, r.world.place(t, "1.2.0"))...)
	if err != nil {
		t.Fatal(err)
	}
	found = slices.DeleteFunc(found, func(f string) bool { return !strings.HasPrefix(f, rule) })
	if !slices.Equal(found, r.want) {
		t.Errorf("found %v, want %v", found, r.want)
	}
	if ended := state.Phase > procedure.PhaseRelease; ended != r.ends {
		t.Errorf("in phase %s", state.Phase)
	}
}

// TestASourceOfMetricsThatNobodyHasIsFoundBeforeTheRelease: checks that ask it could only come to
// no verdict, in production. What is urgent is told of it and goes on.
func TestASourceOfMetricsThatNobodyHasIsFoundBeforeTheRelease(t *testing.T) {
	forth := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.Validation.Checks = append(r.Validation.Checks, c) }
	}
	back := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.RollbackPlan.Checks = append(r.RollbackPlan.Checks, c) }
	}
	catalog := strings.Replace(document(""), "owner_groups: [shop-team]}", `owner_groups: [shop-team], checks: [{name: errors, prometheus: {source: nowhere, query: up, range: {min: 1}}}]}`, 1)
	for _, test := range []struct {
		name, document string
		change         []func(*releasev1.Request)
		want           []string
		ends           bool
	}{
		{"known", document(""), []func(*releasev1.Request){forth(asks("metrics")), back(asks("metrics"))}, nil, false},
		{"no metrics", document(""), nil, nil, false},
		{"unknown, and asked twice", document(""), []func(*releasev1.Request){forth(asks("nowhere")), back(asks("nowhere"))}, []string{"check.source nowhere BLOCKING"}, true},
		{"logs that are known", document(""), []func(*releasev1.Request){forth(counts("loki"))}, nil, false},
		{"logs by the name of metrics", document(""), []func(*releasev1.Request){forth(counts("metrics"))}, []string{"check.source metrics BLOCKING"}, true},
		{"unknown on the way back", document(""), []func(*releasev1.Request){back(asks("elsewhere"))}, []string{"check.source elsewhere BLOCKING"}, true},
		{"unknown by the procedure document", catalog, nil, []string{"check.source nowhere BLOCKING"}, true},
		{"unknown, of a check that the procedure document has otherwise", strings.Replace(catalog, "nowhere", "metrics", 1), []func(*releasev1.Request){forth(named("errors", asks("elsewhere"))), back(named("errors", asks("elsewhere")))}, nil, false},
		{"unknown in an emergency", document(""), []func(*releasev1.Request){proceduretest.Emergency, forth(asks("nowhere"))}, []string{"check.source nowhere WARNING"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.document)
			reached{w, test.change, test.want, test.ends}.finds(t, "check.source")
		})
	}
}

// TestAProgramThatIsNotRunIsFoundBeforeTheRelease: a check that has it run could only come to no
// verdict, in production. What is urgent is told of it and goes on.
func TestAProgramThatIsNotRunIsFoundBeforeTheRelease(t *testing.T) {
	runs := func(name, command string) *releasev1.Check {
		return &releasev1.Check{Name: name, Probe: &releasev1.Check_Command{Command: &releasev1.CommandProbe{Command: command}}}
	}
	forth := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.Validation.Checks = append(r.Validation.Checks, c) }
	}
	back := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.RollbackPlan.Checks = append(r.RollbackPlan.Checks, c) }
	}
	only := func(p *releasev1.CommandProbe) error {
		if p.GetCommand() != "stock" {
			return fmt.Errorf("no command %q is listed", p.GetCommand())
		}
		return nil
	}
	for _, test := range []struct {
		name    string
		refuses func(*releasev1.CommandProbe) error
		change  []func(*releasev1.Request)
		want    []string
		ends    bool
	}{
		{"listed", only, []func(*releasev1.Request){forth(runs("a", "stock")), back(runs("a", "stock"))}, nil, false},
		{"no program", nil, nil, nil, false},
		{"not listed, forth and back", only, []func(*releasev1.Request){forth(runs("a", "others")), back(runs("a", "others"))}, []string{"check.command others BLOCKING"}, true},
		{"not listed on the way back", only, []func(*releasev1.Request){back(runs("a", "others"))}, []string{"check.command others BLOCKING"}, true},
		{"a validator that runs none", nil, []func(*releasev1.Request){forth(runs("a", "stock"))}, []string{"check.command stock BLOCKING"}, true},
		{"not listed, in an emergency", only, []func(*releasev1.Request){proceduretest.Emergency, forth(runs("a", "others"))}, []string{"check.command others WARNING"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, document(""))
			w.refuses = test.refuses
			reached{w, test.change, test.want, test.ends}.finds(t, "check.command")
		})
	}
}

// TestATargetOfWhichNobodyKnowsTheNamespaceIsFoundBeforeTheRelease: what runs there could not be
// looked at, and the release would be in production when that is found.
func TestATargetOfWhichNobodyKnowsTheNamespaceIsFoundBeforeTheRelease(t *testing.T) {
	rollout := &releasev1.Check{Name: "rollout", Probe: &releasev1.Check_KubernetesRollout{KubernetesRollout: &releasev1.KubernetesRolloutProbe{
		Workloads: &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}},
	}}}
	forth := func(r *releasev1.Request) { r.Validation.Checks = append(r.Validation.Checks, rollout) }
	for _, test := range []struct {
		name       string
		namespaces []string
		change     []func(*releasev1.Request)
		want       []string
		ends       bool
	}{
		{"none is looked at", nil, nil, nil, false},
		{"known", []string{"eu1"}, []func(*releasev1.Request){forth}, nil, false},
		{"of another one", []string{"mail1"}, []func(*releasev1.Request){forth}, []string{"check.cluster eu1 BLOCKING"}, true},
		{"on the way back", nil, []func(*releasev1.Request){func(r *releasev1.Request) {
			r.RollbackPlan.Checks = append(r.RollbackPlan.Checks, rollout)
		}}, []string{"check.cluster eu1 BLOCKING"}, true},
		{"in an emergency", nil, []func(*releasev1.Request){proceduretest.Emergency, forth}, []string{"check.cluster eu1 WARNING"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, document(""))
			w.namespaces = test.namespaces
			reached{w, test.change, test.want, test.ends}.finds(t, "check.cluster")
		})
	}
}

// TestATargetThatCannotTellWhatItRunsIsFoundBeforeTheRelease: its bake could only come to no verdict,
// in production. What is urgent is told of it and goes on.
func TestATargetThatCannotTellWhatItRunsIsFoundBeforeTheRelease(t *testing.T) {
	for _, test := range []struct {
		name   string
		silent []string
		change []func(*releasev1.Request)
		want   []string
		ends   bool
	}{
		{"it tells", nil, nil, nil, false},
		{"another one does not", []string{"mail1"}, nil, nil, false},
		{"it does not", []string{"eu1", "mail1"}, nil, []string{"check.digest eu1 BLOCKING"}, true},
		{"in an emergency", []string{"eu1"}, []func(*releasev1.Request){proceduretest.Emergency}, []string{"check.digest eu1 WARNING"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, document(""))
			w.silent = test.silent
			reached{w, test.change, test.want, test.ends}.finds(t, "check.digest")
		})
	}
}

// TestANamespaceIsHeldToTheControlsOfItsEnvironmentWhicheverDriverServesIt: the validator knows which
// targets are namespaces, also where the document says that a command or Terraform serves them.
func TestANamespaceIsHeldToTheControlsOfItsEnvironmentWhicheverDriverServesIt(t *testing.T) {
	demanding := document("environments: [{name: production, required_controls: [image_digests, exposure]}]\n")
	security := func(exposure *releasev1.KubernetesExposureControl) *releasev1.Check {
		return &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			ImageDigests: &releasev1.KubernetesImageControl{}, Exposure: exposure,
		}}}
	}
	named := security(&releasev1.KubernetesExposureControl{})
	named.GetKubernetesSecurity().Workloads = &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}}
	forth := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.Validation.Checks = append(r.Validation.Checks, c) }
	}
	both := &releasev1.KubernetesExposureControl{}
	for _, test := range []struct {
		name, document string
		namespaces     []string
		change         []func(*releasev1.Request)
		want           []string
	}{
		{"no namespace", demanding, nil, nil, nil},
		{"another one is", demanding, []string{"mail1"}, nil, nil},
		{"nothing is demanded", document(""), []string{"eu1"}, nil, nil},
		{"none", demanding, []string{"eu1"}, nil, []string{"controls.required eu1 BLOCKING"}},
		{"one is missing", demanding, []string{"eu1"}, []func(*releasev1.Request){forth(security(nil))}, []string{"controls.required eu1 BLOCKING"}},
		{"all", demanding, []string{"eu1"}, []func(*releasev1.Request){forth(security(both))}, nil},
		{"of some workloads", demanding, []string{"eu1"}, []func(*releasev1.Request){forth(named)}, []string{"controls.required eu1 BLOCKING"}},
		{"not on the way back", demanding, []string{"eu1"}, []func(*releasev1.Request){forth(security(both)), func(r *releasev1.Request) {
			r.RollbackPlan.Checks = append(r.RollbackPlan.Checks, asks("metrics"))
		}}, []string{"controls.required eu1 BLOCKING"}},
		{"in an emergency", demanding, []string{"eu1"}, []func(*releasev1.Request){proceduretest.Emergency}, []string{"controls.required eu1 BLOCKING"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, test.document)
			w.namespaces = test.namespaces
			reached{w, test.change, test.want, test.want != nil}.finds(t, "controls.")
		})
	}
}
