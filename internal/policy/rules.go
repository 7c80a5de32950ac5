package policy

import (
	"slices"

	"github.com/blackdice/shipwarden/internal/condition"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// Condition returns the compiled expression of a rule of the document. It is compiled
// once. Errors wrap condition.ErrSyntax; a document that was checked has none.
func (x *Index) Condition(rule *policyv1.Rule) (*condition.Condition, error) {
	if known, ok := x.conditions.Load(rule.GetExpression()); ok {
		if compiled, ok := known.(*condition.Condition); ok {
			return compiled, nil
		}
	}
	compiled, err := condition.Compile(rule.GetExpression())
	if err != nil {
		return nil, err
	}
	x.conditions.Store(rule.GetExpression(), compiled)
	return compiled, nil
}

// Members returns the ids of the people in each group, in the order of the document.
func (x *Index) Members() map[string][]string {
	out := make(map[string][]string, len(x.groups))
	for name, group := range x.groups {
		out[name] = slices.Clone(group.GetMembers())
	}
	return out
}
