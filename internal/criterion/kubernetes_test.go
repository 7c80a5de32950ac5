package criterion_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// secured is a check of all controls.
var secured = &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
	Workloads: &releasev1.KubernetesWorkloads{Named: []*releasev1.KubernetesWorkload{
		{Kind: releasev1.KubernetesWorkload_KIND_DEPLOYMENT, Name: "shop"}, {Kind: releasev1.KubernetesWorkload_KIND_STATEFUL_SET, Name: "db"},
	}},
	ImageDigests: &releasev1.KubernetesImageControl{Also: []string{"sha256:aa"}},
	PodSecurity: &releasev1.KubernetesPodControl{
		Level: releasev1.KubernetesPodControl_LEVEL_RESTRICTED, Enforced: releasev1.KubernetesPodControl_LEVEL_BASELINE,
	},
	NetworkPolicy: &releasev1.KubernetesNetworkControl{Ingress: true, Egress: true},
	Exposure: &releasev1.KubernetesExposureControl{Allowed: []*releasev1.KubernetesExposure{
		{Kind: "Ingress", Name: "shop", Hosts: []string{"shop.example"}}, {Kind: "Service", Name: "shop"},
	}},
	ServiceAccount: &releasev1.KubernetesAccountControl{Allowed: []*releasev1.KubernetesRight{
		{Resource: "configmaps", Verbs: []string{"get", "list"}, Name: "settings"},
		{ApiGroup: "metrics.k8s.io", Resource: "nodes", Verbs: []string{"get"}, Everywhere: true},
	}},
	PlainSecrets: &releasev1.KubernetesSecretControl{Allowed: []string{"TOKENIZER"}},
	Timeout:      durationpb.New(10 * time.Second),
}}}

// TestEachControlIsACheckOfItsOwn: a control that shared its verdict with others could be green
// because they are.
func TestEachControlIsACheckOfItsOwn(t *testing.T) {
	fields := (&releasev1.KubernetesSecurityProbe{}).ProtoReflect().Descriptor().Fields()
	if got := len(criterion.Controls(secured)); got != fields.Len()-2 {
		t.Errorf("%d controls in the example, the contract has %d beside workloads and timeout", got, fields.Len()-2)
	}
	before := proto.CloneOf(secured)
	other := &releasev1.Check{Name: "listens", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}
	all := criterion.Each([]*releasev1.Check{secured, other})
	if !proto.Equal(before, secured) {
		t.Error("the check was changed")
	}
	var names []string
	for _, c := range all {
		names = append(names, c.GetName())
		if c == other {
			continue
		}
		if got := criterion.Controls(c); len(got) != 1 || "security."+got[0] != c.GetName() {
			t.Errorf("%s has the controls %v", c.GetName(), got)
		}
		if len(criterion.Workloads(c).GetNamed()) != 2 || criterion.Timeout(c) != 10*time.Second || !criterion.Hard(c) || len(criterion.Expects(c)) != 1 {
			t.Errorf("%s is not what the check says: %s", c.GetName(), criterion.Words(c))
		}
	}
	want := []string{
		"security.image_digests", "security.pod_security", "security.network_policy", "security.exposure", "security.service_account", "security.plain_secrets",
		"listens",
	}
	if waited := slices.Concat(procedure.ResultsOf(secured), procedure.ResultsOf(other)); !slices.Equal(waited, want) {
		t.Errorf("the procedure waits for %v, want %v", waited, want)
	}
	if !slices.Equal(names, want) {
		t.Errorf("they are %v, want %v", names, want)
	}
}

// TestControlsOfEverythingSayWhatTheyLookAt: approvers read it.
func TestControlsOfEverythingSayWhatTheyLookAt(t *testing.T) {
	c := &releasev1.Check{Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
		ImageDigests: &releasev1.KubernetesImageControl{},
	}}}
	want := "kubernetes security of everything in the namespace, image_digests: every container runs an image that was approved, within 5s"
	if got := criterion.Words(c); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if found := criterion.Faults(c); len(found) > 0 {
		t.Error(found)
	}
}

func TestFaultsOfChecksInKubernetes(t *testing.T) {
	shop := &releasev1.KubernetesWorkload{Kind: releasev1.KubernetesWorkload_KIND_DEPLOYMENT, Name: "shop"}
	twice := &releasev1.KubernetesWorkloads{Named: []*releasev1.KubernetesWorkload{shop, shop}}
	for _, test := range []struct {
		name  string
		check *releasev1.Check
		want  []string
	}{
		{"nothing", secured, nil},
		{"a workload twice", &releasev1.Check{Probe: &releasev1.Check_KubernetesRollout{KubernetesRollout: &releasev1.KubernetesRolloutProbe{Workloads: twice}}}, []string{
			"kubernetes_rollout.workloads.named[1] workload.twice",
		}},
		{"exposures that are none", &releasev1.Check{Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: &releasev1.KubernetesSecurityProbe{
			Workloads: twice,
			Exposure: &releasev1.KubernetesExposureControl{Allowed: []*releasev1.KubernetesExposure{
				{Kind: "Service", Name: "shop", Hosts: []string{"shop.example"}}, {Kind: "Service", Name: "shop"},
			}},
		}}}, []string{
			"kubernetes_security.workloads.named[1] workload.twice",
			"kubernetes_security.exposure.allowed[0].hosts exposure.hosts",
			"kubernetes_security.exposure.allowed[1] exposure.twice",
		}},
	} {
		var got []string
		for _, f := range criterion.Faults(test.check) {
			got = append(got, f.Field+" "+f.Rule)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}
