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

// guard is one entry of what is protected, or left out of looks: a pattern of types, or of
// addresses.
type guard struct {
	kind, address *regexp.Regexp
}

var typeName = regexp.MustCompile(`^[a-z*][a-z0-9_*-]*$`)

// anyKey is the key of an instance, of a resource or of a module, or none.
const anyKey = `(?:\[(?:[0-9]+|"(?:[^"\\]|\\.)*")\])?`

// guards reads what is protected. The error names every entry that would protect nothing.
func guards(entries []string) ([]guard, error) {
	var all []guard
	var problems []error
	for i, entry := range entries {
		g, err := guardOf(entry)
		if err != nil {
			problems = append(problems, fmt.Errorf("protect[%d]: %w", i, err))
			continue
		}
		all = append(all, g)
	}
	return all, errors.Join(problems...)
}

func guardOf(entry string) (guard, error) {
	var g guard
	if typeName.MatchString(entry) {
		g.kind = pattern(entry, "")
	}
	if strings.ContainsAny(entry, ".*") && !strings.ContainsAny(entry, " \t\n") {
		g.address = pattern(entry, anyKey)
	}
	if g.kind == nil && g.address == nil {
		return g, fmt.Errorf("%q is neither a type nor an address", entry)
	}
	return g, nil
}

// covers says whether the entry means what lies at an address.
func (g guard) covers(kind, address string) bool {
	return g.kind != nil && g.kind.MatchString(kind) || g.address != nil && g.address.MatchString(address)
}

// pattern reads an entry: a star is anything, and all else, brackets and quotes of keys among it,
// is itself. Where it names no key, of a module in the middle as of the resource at the end,
// there may be what key says.
func pattern(entry, key string) *regexp.Regexp {
	var out strings.Builder
	inside, quoted, escaped := false, false, false
	for i := range len(entry) {
		c := entry[i]
		switch {
		case escaped:
			escaped = false
		case c == '\\' && quoted:
			escaped = true
		case c == '"' && inside:
			quoted = !quoted
		case c == '[' && !quoted:
			inside = true
		case c == ']' && !quoted:
			inside = false
		case c == '.' && !inside && i > 0 && entry[i-1] != ']':
			out.WriteString(key)
		}
		if c == '*' {
			out.WriteString(".*")
			continue
		}
		out.WriteString(regexp.QuoteMeta(entry[i : i+1]))
	}
	if !strings.HasSuffix(entry, "]") {
		out.WriteString(key)
	}
	return regexp.MustCompile("^(?s:" + out.String() + ")$")
}

var keys = regexp.MustCompile(anyKey)

// kindIn is the type of the resource at an address: what is before its name.
func kindIn(address string) string {
	parts := strings.Split(keys.ReplaceAllString(address, ""), ".")
	return parts[max(0, len(parts)-2)]
}

// covers says whether what lies at an address is protected.
func (d *Driver) covers(kind, address string) bool {
	return slices.ContainsFunc(d.protect, func(g guard) bool { return g.covers(kind, address) })
}

// guarded says whether a resource is protected, by what it is called now or was before.
func (d *Driver) guarded(c *tfjson.ResourceChange) bool {
	return d.covers(c.Type, c.Address) || d.was(c)
}

// was says whether a resource that has moved was protected where it was.
func (d *Driver) was(c *tfjson.ResourceChange) bool {
	return c.PreviousAddress != "" && d.covers(kindIn(c.PreviousAddress), c.PreviousAddress)
}

// spare refuses a plan that destroys, replaces or lets go of what is protected, or moves it to
// where the next plan could.
func (d *Driver) spare(p planned) error {
	var taken []string
	for _, c := range sorted(p.plan.ResourceChanges) {
		action := actionOf(c.Change.Actions)
		switch action {
		case noop, create, read, update:
			if d.was(c) && !d.covers(c.Type, c.Address) {
				taken = append(taken, "move "+c.PreviousAddress+" to "+c.Address)
			}
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
