package alerts

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Applies reports whether a rule concerns the request at all.
func Applies(rule *policyv1.AlertRule, r *releasev1.Request) bool {
	has := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return has(rule.GetEnvironments(), r.GetEnvironment()) && has(rule.GetServices(), r.GetService())
}

// Matching returns those of the alerts that a rule is about, oldest first. A regular
// expression that is none is an error: the document was checked.
func Matching(rule *policyv1.AlertRule, r *releasev1.Request, all []Alert) ([]Alert, error) {
	is, err := matcher(rule, r)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(all), func(a Alert) bool { return !is(a) })
	slices.SortStableFunc(out, func(a, b Alert) int { return a.Starts.Compare(b.Starts) })
	return out, nil
}

// matcher tells which alerts a rule is about.
func matcher(rule *policyv1.AlertRule, r *releasev1.Request) (func(Alert) bool, error) {
	fill := strings.NewReplacer("{service}", r.GetService(), "{environment}", r.GetEnvironment())
	var tests []func(Alert) bool
	for _, m := range rule.GetMatchers() {
		label := m.GetLabel()
		switch v := m.GetValue().(type) {
		case *policyv1.LabelMatcher_Is:
			want := fill.Replace(v.Is)
			tests = append(tests, func(a Alert) bool { return a.Labels[label] == want })
		case *policyv1.LabelMatcher_IsNot:
			want := fill.Replace(v.IsNot)
			tests = append(tests, func(a Alert) bool { return a.Labels[label] != want })
		case *policyv1.LabelMatcher_Matches:
			pattern, err := regexp.Compile("^(?:" + v.Matches + ")$")
			if err != nil {
				return nil, fmt.Errorf("alert rule %s: %w", rule.GetName(), err)
			}
			tests = append(tests, func(a Alert) bool { return pattern.MatchString(a.Labels[label]) })
		default:
			return nil, fmt.Errorf("alert rule %s: a matcher says nothing of %s", rule.GetName(), label)
		}
	}
	return func(a Alert) bool {
		return !slices.ContainsFunc(tests, func(is func(Alert) bool) bool { return !is(a) })
	}, nil
}
