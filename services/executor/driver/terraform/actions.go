package terraform

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
)

// What a plan does with a resource.
const (
	noop    = "no change"
	create  = "create"
	update  = "update"
	replace = "replace"
	destroy = "destroy"
	forget  = "forget"
	read    = "read"
)

// actionOf is the actions in a word. One that is not known is its own name, so that it is no
// change that nobody sees.
func actionOf(actions tfjson.Actions) string {
	switch {
	case actions.NoOp():
		return noop
	case actions.Create():
		return create
	case actions.Read():
		return read
	case actions.Update():
		return update
	case actions.Replace():
		return replace
	case actions.Delete():
		return destroy
	case actions.Forget():
		return forget
	}
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = string(a)
	}
	return strings.Join(names, " and ")
}

// attributes are the names of the attributes that change, and of what kind each change is.
func attributes(c *tfjson.Change) string {
	before, after := object(c.Before), object(c.After)
	unknown, hidden := object(c.AfterUnknown), object(c.AfterSensitive)
	shown := object(c.BeforeSensitive)
	names := map[string]bool{}
	for _, from := range []map[string]any{before, after, unknown} {
		for name := range from {
			names[name] = true
		}
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		kind := "changes"
		switch was, is := before[name], after[name]; {
		case any1(unknown[name]):
			kind = "is known after it"
		case text1(was) == text1(is):
			continue
		case was == nil:
			kind = "is set"
		case is == nil:
			kind = "is removed"
		}
		if any1(hidden[name]) || any1(shown[name]) {
			kind += " (sensitive)"
		}
		fmt.Fprintf(&out, "\n  %s %s", name, kind)
	}
	return out.String()
}

func object(value any) map[string]any {
	fields, _ := value.(map[string]any)
	return fields
}

// any1 says whether anything in what stands for a value is true: of values, which are not
// known, or which are sensitive.
func any1(value any) bool {
	switch v := value.(type) {
	case bool:
		return v
	case []any:
		return slices.ContainsFunc(v, any1)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), any1)
	}
	return false
}
