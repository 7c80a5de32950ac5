package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	tfjson "github.com/hashicorp/terraform-json"
	"golang.org/x/mod/semver"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// MaxPlanJSON is the most that a plan in JSON may measure, in bytes: it is read into memory,
// where it takes several times as much.
const MaxPlanJSON = 8 << 20

// TerraformPlanJSON reads a plan as "terraform show -json" prints it. The values in it, secrets
// among them, are compared and go nowhere.
func TerraformPlanJSON(content io.Reader) (Plan, error) {
	body, err := io.ReadAll(io.LimitReader(content, MaxPlanJSON+1))
	switch {
	case err != nil:
		return Plan{}, err
	case len(body) > MaxPlanJSON:
		return Plan{}, fmt.Errorf("it is larger than %d bytes: %w", MaxPlanJSON, ErrKind)
	case !utf8.Valid(body):
		return Plan{}, fmt.Errorf("it is not UTF-8: %w", ErrKind)
	}
	// The library takes the last of two keys, and others the first.
	if err := readJSON(body); err != nil {
		return Plan{}, err
	}
	var plan tfjson.Plan
	if err := json.Unmarshal(body, &plan); err != nil {
		return Plan{}, fmt.Errorf("it is no plan in JSON: %w: %.200w", ErrKind, err)
	}
	version := plan.TerraformVersion
	if len(version) > 64 || !semver.IsValid("v"+version) {
		return Plan{}, fmt.Errorf("it was made by version %.80q: %w", version, ErrKind)
	}
	var all []*releasev1.ResourceChange
	for i, c := range plan.ResourceChanges {
		if c == nil || c.Change == nil || c.Address == "" {
			return Plan{}, fmt.Errorf("resource_changes[%d]: it has no address, or no change: %w", i, ErrKind)
		}
		if reads(c.Address) {
			continue
		}
		action, changed, err := jsonAction(c.Change.Actions)
		if err != nil {
			return Plan{}, fmt.Errorf("resource_changes[%d]: %w", i, err)
		}
		if changed {
			all = append(all, &releasev1.ResourceChange{
				Address: deposed(c.Address, c.DeposedKey), Action: action, Attributes: strings.Join(differs(c.Change), ", "),
			})
		}
	}
	out := changes(all, true)
	out.Invoke, out.Deferred = count(len(plan.ActionInvocations)), count(len(plan.DeferredChanges))
	return Plan{version, out}, nil
}

func count(n int) uint32 { return uint32(min(n, 1<<30)) } //nolint:gosec // A length, and bounded.

// jsonAction is what is done to a resource; changed is false where it is nothing. What is not
// known refuses the plan: nobody could say what it does.
func jsonAction(a tfjson.Actions) (action releasev1.ResourceChange_Action, changed bool, err error) {
	switch {
	case a.NoOp(), a.Read():
		return 0, false, nil
	case a.Create():
		return releasev1.ResourceChange_ACTION_CREATE, true, nil
	case a.Update():
		return releasev1.ResourceChange_ACTION_UPDATE, true, nil
	case a.Delete():
		return releasev1.ResourceChange_ACTION_DELETE, true, nil
	case a.Replace():
		return releasev1.ResourceChange_ACTION_REPLACE, true, nil
	case a.Forget():
		return releasev1.ResourceChange_ACTION_FORGET, true, nil
	case slices.Equal(a, tfjson.Actions{tfjson.ActionCreate, tfjson.ActionForget}):
		return releasev1.ResourceChange_ACTION_CREATE_AND_FORGET, true, nil
	}
	return 0, false, fmt.Errorf("unknown actions %.80q: %w", a, ErrKind)
}

// differs names the attributes of a resource that change, or of which nobody knows yet what
// becomes of them; of one that is created or destroyed it names none.
func differs(c *tfjson.Change) []string {
	before, was := c.Before.(map[string]any)
	after, is := c.After.(map[string]any)
	if !was || !is {
		return nil
	}
	names := map[string]bool{}
	for name, value := range before {
		if other, there := after[name]; !there || !reflect.DeepEqual(value, other) {
			names[name] = true
		}
	}
	for name := range after {
		if _, there := before[name]; !there {
			names[name] = true
		}
	}
	if unknown, ok := c.AfterUnknown.(map[string]any); ok {
		for name, value := range unknown {
			names[name] = names[name] || value == true
		}
	}
	maps.DeleteFunc(names, func(_ string, changed bool) bool { return !changed })
	return slices.Sorted(maps.Keys(names))
}
