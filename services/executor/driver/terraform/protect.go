package terraform

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

// errProtected says that a plan takes away what the configuration protects.
var errProtected = errors.New("protected")

// guard is one entry of what is protected: a type, or a pattern of addresses.
type guard struct {
	kind    string
	address *regexp.Regexp
}

var typeName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// guards reads what is protected. The error names every entry that would protect nothing.
func guards(entries []string) ([]guard, error) {
	var all []guard
	var problems []error
	for i, entry := range entries {
		switch {
		case typeName.MatchString(entry):
			all = append(all, guard{kind: entry})
		case strings.ContainsAny(entry, ".*") && !strings.ContainsAny(entry, " \t\n"):
			// A star is anything; all else, brackets and quotes of keys among it, is itself.
			parts := strings.Split(entry, "*")
			for j, p := range parts {
				parts[j] = regexp.QuoteMeta(p)
			}
			all = append(all, guard{address: regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$")})
		default:
			problems = append(problems, fmt.Errorf("protect[%d]: %q is neither a type nor an address", i, entry))
		}
	}
	return all, errors.Join(problems...)
}

// guarded says whether a resource is protected, by what it is called now or was before. An
// address without a key protects every instance.
func (d *Driver) guarded(c *tfjson.ResourceChange) bool {
	return slices.ContainsFunc(d.protect, func(g guard) bool {
		if g.kind != "" {
			return g.kind == c.Type
		}
		for _, address := range []string{c.Address, c.PreviousAddress} {
			bare, _, _ := cutKey(address)
			if address != "" && (g.address.MatchString(address) || g.address.MatchString(bare)) {
				return true
			}
		}
		return false
	})
}

// cutKey takes the key of its last instance from an address.
func cutKey(address string) (bare, key string, found bool) {
	if !strings.HasSuffix(address, "]") {
		return address, "", false
	}
	i := strings.LastIndex(address, "[")
	if i < 0 {
		return address, "", false
	}
	return address[:i], address[i:], true
}

// spare refuses a plan that destroys, replaces or lets go of what is protected.
func (d *Driver) spare(p planned) error {
	var taken []string
	for _, c := range sorted(p.plan.ResourceChanges) {
		action := actionOf(c.Change.Actions)
		switch action {
		case noop, create, read, update:
			continue
		}
		// What is not known may be anything.
		if d.guarded(c) {
			taken = append(taken, action+" "+c.Address)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	more := ""
	if len(taken) > 5 {
		more = fmt.Sprintf(" and %d more", len(taken)-5)
		taken = taken[:5]
	}
	return fmt.Errorf("the plan would %s%s: %w: %w", strings.Join(taken, ", "), more, errProtected, driver.ErrConflict)
}
