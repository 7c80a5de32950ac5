package procedure

import (
	"google.golang.org/protobuf/reflect/protoreflect"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ResultsOf are the names under which a check has results in a verification: its own, and of a
// check of controls of security "<check>.<control>" for each control that it has, in the order of
// the contract (PD-6.1).
func ResultsOf(c *releasev1.Check) (all []string) {
	if probe := c.GetKubernetesSecurity(); probe != nil {
		m := probe.ProtoReflect()
		for i := range m.Descriptor().Fields().Len() {
			field := m.Descriptor().Fields().Get(i)
			if field.Kind() == protoreflect.MessageKind && field.Name() != "workloads" && field.Name() != "timeout" && m.Has(field) {
				all = append(all, c.GetName()+"."+string(field.Name()))
			}
		}
	}
	if len(all) == 0 {
		return []string{c.GetName()}
	}
	return all
}
