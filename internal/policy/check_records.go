package policy

import (
	"fmt"
	"maps"
	"slices"

	"github.com/blackdice/shipwarden/internal/pattern"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// changeRecords checks the rules about change records. Their verdicts stand beside those of
// gates, so that no two may have one name.
func (c *checker) changeRecords() {
	rules := c.document.GetChangeRecords()
	c.unique("change_records", "name", names(rules, (*policyv1.ChangeRecordRule).GetName))
	for i, rule := range rules {
		path := fmt.Sprintf("change_records[%d]", i)
		if c.hasGate(rule.GetName()) {
			c.report(path+".name", "duplicate", "%q is the name of a gate already", rule.GetName())
		}
		compiled, err := pattern.Compile(rule.GetIdPattern())
		switch {
		case err != nil:
			c.report(path+".id_pattern", "pattern", "%v", err)
		case compiled.MatchString(""):
			c.report(path+".id_pattern", "pattern", "it matches nothing at all, and so could match any id")
		}
		c.known(path+".environments", "environment", rule.GetEnvironments(), c.hasEnvironment)
		enums(c, path+".triggers", rule.GetTriggers(), releasev1.Trigger_name)
		for _, service := range slices.Sorted(maps.Keys(rule.GetServiceNames())) {
			if !c.hasService(service) {
				c.report(path+".service_names", "service.unknown", "there is no service %q", service)
			}
		}
	}
}

// ChangeRecordsFor returns the rules that demand a change record of a request, in the order
// of the document.
func (x *Index) ChangeRecordsFor(request *releasev1.Request) []*policyv1.ChangeRecordRule {
	var required []*policyv1.ChangeRecordRule
	for _, rule := range x.document.GetChangeRecords() {
		if emptyOrHas(rule.GetEnvironments(), request.GetEnvironment()) && emptyOrHas(rule.GetTriggers(), request.GetTrigger()) {
			required = append(required, rule)
		}
	}
	return required
}

// ChangeRecordRule returns the rule with this name, or nil.
func (x *Index) ChangeRecordRule(name string) *policyv1.ChangeRecordRule {
	return find(x.document.GetChangeRecords(), name, (*policyv1.ChangeRecordRule).GetName)
}
