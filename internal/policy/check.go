package policy

import (
	"fmt"

	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Check returns everything that is wrong between the parts of a document: names
// that lead nowhere, names given twice, quorums that nobody can meet. What one
// field must look like is the schema's matter and not checked here.
func Check(document *policyv1.Procedure) []strictyaml.Violation {
	c := &checker{document: document, index: NewIndex(document)}
	c.people()
	c.groups()
	c.rostered()
	c.signingKeys()
	c.signingIdentities()
	c.signedEnvironments()
	c.known("stand_ins.groups", "group", document.GetStandIns().GetGroups(), c.hasGroup)
	c.keys()
	c.identities()
	c.environments()
	c.services()
	c.targets()
	c.gates()
	c.freezes()
	c.areas()
	c.alerts()
	c.incidents()
	c.reverify()
	c.remediationRows()
	c.score()
	c.channels()
	c.audiences()
	c.reminder()
	c.emergency()
	c.escalation()
	c.approvals("no_rollback_approvals", document.GetNoRollbackApprovals())
	c.rollbackReadiness()
	c.approvals("high_risk_approvals", document.GetHighRiskApprovals())
	c.onCallToo("operators_group", document.GetOperatorsGroup(), 1)
	c.approvers("quarantine.group", document.GetQuarantine().GetGroup(), 1)
	c.changeControl()
	c.changeRecords()
	c.sizes()
	return c.found
}

// checker collects what is wrong with one document.
type checker struct {
	document *policyv1.Procedure
	index    *Index
	found    []strictyaml.Violation
}

func (c *checker) report(field, rule, format string, args ...any) {
	c.found = append(c.found, strictyaml.Violation{Field: field, Rule: rule, Message: fmt.Sprintf(format, args...)})
}

// unique reports every name that was there before. The path is that of the list,
// and member, where given, the field of its elements that holds the name.
func (c *checker) unique(path, member string, names []string) {
	first := make(map[string]int, len(names))
	for i, name := range names {
		if before, again := first[name]; again && name != "" {
			field := fmt.Sprintf("%s[%d]", path, i)
			if member != "" {
				field += "." + member
			}
			c.report(field, "duplicate", "%q is there already, as %s[%d]", name, path, before)
			continue
		}
		first[name] = i
	}
}

// known reports names that lead nowhere, and names given twice. A thing says what
// the names are names of.
func (c *checker) known(path, thing string, names []string, exists func(string) bool) {
	c.unique(path, "", names)
	for i, name := range names {
		if !exists(name) {
			c.report(fmt.Sprintf("%s[%d]", path, i), thing+".unknown", "there is no %s %q", thing, name)
		}
	}
}

func (c *checker) hasEnvironment(name string) bool { return c.index.Environment(name) != nil }
func (c *checker) hasService(name string) bool     { return c.index.Service(name) != nil }
func (c *checker) hasTarget(id string) bool        { return c.index.Target(id) != nil }
func (c *checker) hasGate(name string) bool        { return c.index.Gate(name) != nil }
func (c *checker) hasGroup(name string) bool       { return c.index.Group(name) != nil }

// names returns one string of each element.
func names[T any](elements []T, name func(T) string) []string {
	result := make([]string, len(elements))
	for i, element := range elements {
		result[i] = name(element)
	}
	return result
}

// enums reports enum values that mean nothing, and values given twice.
func enums[T interface {
	~int32
	fmt.Stringer
}](c *checker, path string, values []T, defined map[int32]string) {
	c.unique(path, "", names(values, func(value T) string { return value.String() }))
	for i, value := range values {
		if _, ok := defined[int32(value)]; !ok || value == 0 {
			c.report(fmt.Sprintf("%s[%d]", path, i), "value.undefined", "%s is no value that can be meant", value)
		}
	}
}
