package intake

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
)

// TestTheControlsOfAnEnvironmentCannotBeLeftOut: neither by the request nor on the way back, nor in
// an emergency. Targets that are no namespaces have none.
func TestTheControlsOfAnEnvironmentCannotBeLeftOut(t *testing.T) {
	security := func(name string, network bool) *releasev1.Check {
		p := &releasev1.KubernetesSecurityProbe{ImageDigests: &releasev1.KubernetesImageControl{}}
		if network {
			p.NetworkPolicy = &releasev1.KubernetesNetworkControl{Ingress: true}
		}
		return &releasev1.Check{Name: name, Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: p}}
	}
	named := func(c *releasev1.Check) *releasev1.Check {
		c.GetKubernetesSecurity().Workloads = &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "nobody"}}
		return c
	}
	also := func(c *releasev1.Check) *releasev1.Check {
		c.GetKubernetesSecurity().GetImageDigests().Also = []string{"sha256:" + strings.Repeat("c", 64)}
		return c
	}
	forth := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.Validation.Checks = append(r.Validation.Checks, c) }
	}
	back := func(c *releasev1.Check) func(*releasev1.Request) {
		return func(r *releasev1.Request) { r.RollbackPlan.Checks = append(r.RollbackPlan.Checks, c) }
	}
	healthy := &releasev1.Check{Name: "port", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}
	for _, test := range []struct {
		name    string
		driver  string
		catalog []*releasev1.Check
		change  []func(*releasev1.Request)
		want    []string
	}{
		{"no namespace", "host", nil, nil, nil},
		{"a chart that is placed there", "helm", nil, nil, []string{"rollback_plan.checks", "rollback_plan.checks", "validation.checks", "validation.checks"}},
		{"none", "kubernetes", nil, nil, []string{"rollback_plan.checks", "rollback_plan.checks", "validation.checks", "validation.checks"}},
		{"all", "kubernetes", nil, []func(*releasev1.Request){forth(security("security", true))}, nil},
		{"one of two", "kubernetes", nil, []func(*releasev1.Request){forth(security("security", false))}, []string{"rollback_plan.checks", "validation.checks"}},
		{"of workloads that the request names", "kubernetes", nil, []func(*releasev1.Request){forth(named(security("security", true)))}, []string{
			"rollback_plan.checks", "rollback_plan.checks", "validation.checks", "validation.checks",
		}},
		{"of workloads that the document names", "kubernetes", []*releasev1.Check{named(security("security", true))}, nil, []string{
			"rollback_plan.checks", "rollback_plan.checks", "validation.checks", "validation.checks",
		}},
		{"with other images that the request lets run", "kubernetes", nil, []func(*releasev1.Request){forth(also(security("security", true)))}, []string{
			"rollback_plan.checks", "validation.checks",
		}},
		{"with other images that the document lets run", "kubernetes", []*releasev1.Check{also(security("images", false))}, []func(*releasev1.Request){
			forth(also(security("security", true))), back(security("security", true)),
		}, nil},
		{"in two checks", "kubernetes", []*releasev1.Check{security("images", false)}, []func(*releasev1.Request){
			forth(security("security", true)), back(security("security", true)),
		}, nil},
		{"not on the way back", "kubernetes", nil, []func(*releasev1.Request){forth(security("security", true)), back(healthy)}, []string{
			"rollback_plan.checks", "rollback_plan.checks",
		}},
		{"by the service", "kubernetes", []*releasev1.Check{security("security", true)}, []func(*releasev1.Request){back(healthy)}, nil},
		{"a check of the service by that name has less", "kubernetes", []*releasev1.Check{security("security", false)}, []func(*releasev1.Request){forth(security("security", true))}, []string{
			"rollback_plan.checks", "validation.checks",
		}},
		{"none in an emergency", "kubernetes", nil, []func(*releasev1.Request){proceduretest.Emergency}, []string{
			"rollback_plan.checks", "rollback_plan.checks", "validation.checks", "validation.checks",
		}},
	} {
		x := policy.NewIndex(approvaltest.Document(func(d *policyv1.Procedure) {
			for _, e := range d.GetEnvironments() {
				e.RequiredControls = []string{"image_digests", "network_policy"}
			}
			for _, target := range d.GetTargets() {
				target.Driver = test.driver
			}
			d.Services[0].Checks = test.catalog
		}))
		var got []string
		for _, v := range check(x, proceduretest.Request(test.change...), time.Now()) {
			if v.GetRule() == "controls.required" {
				got = append(got, v.GetField())
				if says := strings.Contains(v.GetMessage(), "check security has "); says != (strings.HasPrefix(test.name, "of workloads") || strings.Contains(test.name, "the request lets run")) {
					t.Errorf("%s: it says %q", test.name, v.GetMessage())
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestACheckThatAnotherIsMadeInPlaceOfIsRefused where that one has no result that the procedure waits
// for: the release would come to no verdict when it is in production.
func TestACheckThatAnotherIsMadeInPlaceOfIsRefused(t *testing.T) {
	security := func(exposure *releasev1.KubernetesExposureControl) *releasev1.Check {
		return &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			Workloads:    &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}},
			ImageDigests: &releasev1.KubernetesImageControl{}, Exposure: exposure,
		}}}
	}
	port := &releasev1.Check{Name: "security", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}
	less, more := security(nil), security(&releasev1.KubernetesExposureControl{})
	for _, test := range []struct {
		name           string
		asked, instead *releasev1.Check
		refused        bool
	}{
		{"the same", more, more, false},
		{"more", less, more, false},
		{"less", more, less, true},
		{"controls in place of a port", port, less, true},
		{"a port in place of controls", less, port, true},
	} {
		x := policy.NewIndex(approvaltest.Document(func(d *policyv1.Procedure) { d.Services[0].Checks = []*releasev1.Check{test.instead} }))
		refused := slices.ContainsFunc(check(x, proceduretest.Request(func(r *releasev1.Request) {
			r.Validation.Checks = append(r.Validation.Checks, test.asked)
		}), time.Now()), func(v *releasev1.Violation) bool {
			return v.GetRule() == "name.catalog" && v.GetField() == "validation.checks[1].name"
		})
		if refused != test.refused {
			t.Errorf("%s: refused is %v", test.name, refused)
		}
	}
}
