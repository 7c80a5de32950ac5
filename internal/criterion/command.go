package criterion

import (
	"maps"
	"slices"
	"strconv"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func commandLooks(c *releasev1.Check) string {
	p := c.GetCommand()
	looks := "command " + p.GetCommand() + " is run"
	for i, name := range slices.Sorted(maps.Keys(p.GetArguments())) {
		word := " with "
		if i > 0 {
			word = " and "
		}
		looks += word + name + " " + strconv.Quote(p.GetArguments()[name])
	}
	return looks
}

func commandExpects(*releasev1.Check) []string {
	return []string{"it ends by itself with status 0"}
}
