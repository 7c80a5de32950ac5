package backstage

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shape"
)

// element is the part of a document's field that names an element of a section.
var element = regexp.MustCompile(`^[a-z_]+\[\d+\]`)

// elsewhere are what a document is refused for and what another place than the catalog may
// put right: people, and ways to reach them. They are told as notes. (Environments are never
// in a catalog.)
var elsewhere = []string{"group.small", "owner.unreachable"}

// checked looks at the sections as whoever reads the document will, so that nothing is
// printed that is refused then: two people with one mail address, a customer without target.
func (c *catalog) checked() {
	found, err := shape.Check(c.document)
	if err != nil {
		c.problems = append(c.problems, Problem{File: c.file, Line: 1, Message: fmt.Sprintf("the sections cannot be checked: %v", err)})
		return
	}
	for _, v := range append(found, policy.Check(c.document)...) {
		from, ok := c.origin[element.FindString(v.Field)]
		switch {
		case !ok || v.Rule == "environment.unknown":
		case slices.Contains(elsewhere, v.Rule):
			c.noteAt(from.e, from.line, "shipwarden lint will say: %s", v.Message)
		default:
			c.wrongAt(from.e, from.line, "%s: %s", v.Field, v.Message)
		}
	}
}
