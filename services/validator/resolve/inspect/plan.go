package inspect

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

const (
	// MaxChanges bounds how many changes of a plan are on record by address, and the other
	// two their texts, in bytes: they are in one event with everything else of step 2.
	MaxChanges    = 24
	maxAddress    = 120
	maxAttributes = 80
)

// Plan is what is known of a plan of Terraform or OpenTofu.
type Plan struct {
	// Version is that of the program that made it.
	Version string
	// Changes is what it would change.
	Changes *releasev1.PlanChanges
}

// Title says in a line what it is.
func (p Plan) Title() string { return "plan of Terraform " + p.Version }

// Words says what a plan would change, as the programs themselves sum it up.
func Words(c *releasev1.PlanChanges) string {
	var out []string
	for _, part := range []struct {
		n    uint32
		what string
	}{
		{c.GetCreate(), "to create"},
		{c.GetUpdate(), "to update"},
		{c.GetDelete(), "to DESTROY"},
		{c.GetReplace(), "to REPLACE"},
		{c.GetForget(), "to let go"},
		{c.GetInvoke(), "actions to invoke"},
		{c.GetDeferred(), "put off to another plan"},
	} {
		if part.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	if len(out) == 0 {
		return "no changes"
	}
	return strings.Join(out, ", ")
}

// changes makes what is on record of all the changes of a plan, in whichever order they are
// given: it destroys first, for a long list is read from its beginning.
func changes(all []*releasev1.ResourceChange, attributes bool) *releasev1.PlanChanges {
	order := []releasev1.ResourceChange_Action{
		releasev1.ResourceChange_ACTION_DELETE, releasev1.ResourceChange_ACTION_REPLACE, releasev1.ResourceChange_ACTION_CREATE_AND_FORGET,
		releasev1.ResourceChange_ACTION_FORGET, releasev1.ResourceChange_ACTION_UPDATE, releasev1.ResourceChange_ACTION_CREATE,
	}
	slices.SortFunc(all, func(a, b *releasev1.ResourceChange) int {
		if x, y := slices.Index(order, a.GetAction()), slices.Index(order, b.GetAction()); x != y {
			return x - y
		}
		return strings.Compare(a.GetAddress(), b.GetAddress())
	})
	out, sum := &releasev1.PlanChanges{Attributes: attributes}, sha256.New()
	for i, c := range all {
		switch c.GetAction() {
		case releasev1.ResourceChange_ACTION_CREATE:
			out.Create++
		case releasev1.ResourceChange_ACTION_UPDATE:
			out.Update++
		case releasev1.ResourceChange_ACTION_DELETE:
			out.Delete++
		case releasev1.ResourceChange_ACTION_REPLACE:
			out.Replace++
		case releasev1.ResourceChange_ACTION_FORGET:
			out.Forget++
		case releasev1.ResourceChange_ACTION_CREATE_AND_FORGET:
			out.Create++
			out.Forget++
		case releasev1.ResourceChange_ACTION_UNSPECIFIED:
		}
		_, _ = fmt.Fprintf(sum, "%s %q\n", c.GetAction(), c.GetAddress()) // A hash takes everything.
		if i < MaxChanges {
			out.Changes = append(out.Changes, &releasev1.ResourceChange{
				Address: cut(c.GetAddress(), maxAddress), Action: c.GetAction(), Attributes: cut(c.GetAttributes(), maxAttributes),
			})
		}
	}
	out.Digest = fmt.Sprintf("sha256:%x", sum.Sum(nil))
	return out
}

func cut(text string, limit int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= limit {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:limit-len(more)], "") + more
}

// deposed is the address of an object that was to be destroyed before, and is still there.
func deposed(address, key string) string {
	if key == "" {
		return address
	}
	return address + " (deposed " + key + ")"
}

// reads reports whether an address is that of something which is only read or held for a
// while: its entry in the state comes and goes, if it has one, and nothing else does.
func reads(address string) bool {
	for strings.HasPrefix(address, "module.") {
		address = address[len("module."):]
		end := strings.IndexAny(address, ".[")
		if end < 0 {
			return false
		}
		if address[end] == '[' {
			quoted := false
			for ; end < len(address) && (quoted || address[end] != ']'); end++ {
				switch address[end] {
				case '"':
					quoted = !quoted
				case '\\':
					end++
				}
			}
			end++
		}
		if end >= len(address) || address[end] != '.' {
			return false
		}
		address = address[end+1:]
	}
	return strings.HasPrefix(address, "data.") || strings.HasPrefix(address, "ephemeral.")
}
