package validator

import (
	"maps"
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/internal/criterion"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// TestEveryKindOfCheckIsMade: a kind that is accepted in requests and that nobody makes
// would leave every release that asks for it without a verdict. What people answer (criterion.AsksPeople)
// nobody makes.
func TestEveryKindOfCheckIsMade(t *testing.T) {
	made := append(slices.Collect(maps.Keys(probers(nil, nil, nil, nil))), "sign_off")
	if slices.Sort(made); !slices.Equal(made, criterion.Kinds()) {
		t.Errorf("made are %v, of %v", made, criterion.Kinds())
	}
}

// TestATargetIsSilentWhoseAddressHasNoWayOfTelling: step 2 refuses what the bake could not judge.
func TestATargetIsSilentWhoseAddressHasNoWayOfTelling(t *testing.T) {
	places, err := targets(&configv1.Validator{Targets: []*configv1.TargetAddress{
		{Target: "workloads", Kubernetes: &configv1.KubernetesPlace{Cluster: "eu", Namespace: "shop"}},
		{Target: "base", BaseUrl: "http://127.0.0.1:9"},
		{Target: "telling", BaseUrl: "http://127.0.0.1:9", DigestPath: "/digest"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(places)
	if got := silent(places); !slices.Equal(got, []string{"base", "workloads"}) {
		t.Errorf("silent are %v", got)
	}
}
