package policy_test

import (
	"testing"

	"buf.build/go/protovalidate"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// A driver that an executor can be told of can be named by the document, and no other.
func TestEveryDriverCanBeNamed(t *testing.T) {
	t.Parallel()
	target := &policyv1.Target{
		Id: "shop-eu1", Environment: "production", Services: []string{"shop"}, Kinds: []releasev1.ArtifactKind{releasev1.ArtifactKind_ARTIFACT_KIND_FILE},
	}
	drivers := new(configv1.TargetDriver).ProtoReflect().Descriptor().Oneofs().ByName("driver").Fields()
	for i := range drivers.Len() {
		target.Driver = string(drivers.Get(i).Name())
		if err := protovalidate.Validate(target); err != nil {
			t.Errorf("%s: %v", target.GetDriver(), err)
		}
	}
	target.Driver = "driver"
	if protovalidate.Validate(target) == nil {
		t.Error("a driver that there is not can be named")
	}
}
