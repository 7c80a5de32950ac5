package inspect_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/resolve/inspect"
)

// change is what becomes of a resource, as a saved plan numbers it.
type change struct {
	address, deposed string
	action           uint64
}

func (c change) saved() []byte {
	action := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), c.action)
	action = protowire.AppendString(protowire.AppendTag(action, 2, protowire.BytesType), "a value")
	b := protowire.AppendString(protowire.AppendTag(nil, 13, protowire.BytesType), c.address)
	b = protowire.AppendBytes(protowire.AppendTag(b, 9, protowire.BytesType), action)
	if c.deposed != "" {
		b = protowire.AppendString(protowire.AppendTag(b, 7, protowire.BytesType), c.deposed)
	}
	return b
}

// all is one change of every kind, and some that change nothing.
var all = []change{
	{address: "shop_host.kept", action: 0},
	{address: `module.net["a.b]\"c"].data.shop_zone.main`, action: 5},
	{address: "data.shop_zone.main", action: 2},
	{address: "shop_host.new", action: 1},
	{address: "shop_host.web", action: 3},
	{address: "shop_db.main", action: 6},
	{address: "shop_disk.main", action: 7},
	{address: "module.old.shop_host.gone", action: 5},
	{address: "shop_host.web", action: 5, deposed: "0a1b"},
	{address: "shop_key.left", action: 8},
}

// planJSON is the JSON form of a plan with all of them, and with secrets in it.
const planJSON = `{"format_version": "1.2", "terraform_version": "1.9.5", "resource_changes": [
	{"address": "shop_host.kept", "change": {"actions": ["no-op"], "before": {"a": 1}, "after": {"a": 1}}},
	{"address": "shop_key.left", "change": {"actions": ["forget"], "before": {"secret": "hunter2"}}},
	{"address": "data.shop_zone.main", "mode": "data", "change": {"actions": ["read"]}},
	{"address": "shop_host.new", "change": {"actions": ["create"], "after": {"size": 2}}},
	{"address": "shop_host.web", "change": {"actions": ["update"], "before": {"size": 1, "id": "i-1", "tags": {"a": 1}, "old": true},
		"after": {"size": 2, "tags": {"a": 1}, "password": "hunter2"}, "after_unknown": {"id": true, "tags": {}}}},
	{"address": "shop_db.main", "change": {"actions": ["delete", "create"], "before": {"zone": "a"}, "after": {"zone": "b"}}},
	{"address": "shop_disk.main", "change": {"actions": ["create", "delete"], "before": {}, "after": {}}},
	{"address": "module.old.shop_host.gone", "change": {"actions": ["delete"], "before": {"size": 1}}},
	{"address": "shop_host.web", "deposed": "0a1b", "change": {"actions": ["delete"], "before": {"size": 1}}}
]}`

func saved(t *testing.T, changes ...change) (inspect.Plan, error) {
	t.Helper()
	return inspect.TerraformPlan(bytes.NewReader(zipOf(t, entry{name: "tfplan", body: plan(3, "1.9.5", changes...)},
		entry{name: "tfstate", body: `{"version":4}`}, entry{name: "tfconfig/main.tf", body: "terraform {}"})))
}

// TestAPlanInJSONSaysWhatChanges, as the saved plan does, with the names of attributes and
// never their values; what destroys comes first.
func TestAPlanInJSONSaysWhatChanges(t *testing.T) {
	form, err := inspect.TerraformPlanJSON(strings.NewReader(planJSON))
	if err != nil || form.Version != "1.9.5" {
		t.Fatalf("%v, %v", form, err)
	}
	const words = "1 to create, 1 to update, 2 to DESTROY, 2 to REPLACE, 1 to let go"
	if got := inspect.Words(form.Changes); got != words {
		t.Errorf("it says %s", got)
	}
	var lines []string
	for _, c := range form.Changes.GetChanges() {
		lines = append(lines, strings.TrimPrefix(c.GetAction().String(), "ACTION_")+" "+c.GetAddress()+" "+c.GetAttributes())
	}
	want := "DELETE module.old.shop_host.gone \nDELETE shop_host.web (deposed 0a1b) \nREPLACE shop_db.main zone\nREPLACE shop_disk.main \n" +
		"FORGET shop_key.left \nUPDATE shop_host.web id, old, password, size\nCREATE shop_host.new "
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("it says\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(form.Changes.String(), "hunter2") {
		t.Error("a value is in it")
	}
	binary, err := saved(t, all...)
	if err != nil || inspect.Words(binary.Changes) != words || binary.Changes.GetDigest() != form.Changes.GetDigest() ||
		binary.Changes.GetAttributes() || !form.Changes.GetAttributes() {
		t.Errorf("the saved plan says %v, %v", binary, err)
	}
	for i := range all {
		other := append([]change(nil), all...)
		if other[i].action = 1; all[i].action == 1 {
			other[i].action = 5
		}
		changes := i != 1 && i != 2 // What is only read has no effect, whatever is done to it.
		if p, err := saved(t, other...); err != nil || (p.Changes.GetDigest() != form.Changes.GetDigest()) != changes {
			t.Errorf("with another action of %s: %v, %v", all[i].address, p, err)
		}
	}
	one, _ := saved(t, change{address: "shop_db.main", action: 3})
	if two, err := saved(t, change{address: "shop_db.main", action: 6}); err != nil || two.Changes.GetDigest() == one.Changes.GetDigest() {
		t.Errorf("updated or replaced, the digest is the same; %v", err)
	}
	if p, err := saved(t); err != nil || inspect.Words(p.Changes) != "no changes" {
		t.Errorf("an empty plan: %v, %v", p, err)
	}
}

func TestOfALongPlanWhatDestroysIsShownAndTheRestCounted(t *testing.T) {
	var many []change
	for i := range 100 {
		many = append(many, change{address: fmt.Sprintf("shop_host.%03d%s", i, strings.Repeat("ü", 100)), action: 1})
	}
	p, err := saved(t, append(many, change{address: "shop_db.main", action: 5})...)
	c := p.Changes
	if err != nil || len(c.GetChanges()) != inspect.MaxChanges || c.GetCreate() != 100 || c.GetChanges()[0].GetAction() != releasev1.ResourceChange_ACTION_DELETE || len(c.GetChanges()[1].GetAddress()) > 120 {
		t.Errorf("%v, %v", p, err)
	}
}

func TestWhatIsNoPlanInJSONIsRefused(t *testing.T) {
	for name, body := range map[string]string{
		"of another format":       strings.Replace(planJSON, `"1.2"`, `"2.0"`, 1),
		"of no format":            `{"terraform_version": "1.9.5"}`,
		"by nothing":              strings.Replace(planJSON, `"1.9.5"`, `"x"`, 1),
		"a key twice":             strings.Replace(planJSON, `"terraform_version"`, `"resource_changes": [], "terraform_version"`, 1),
		"no address":              strings.Replace(planJSON, `"shop_host.new"`, `""`, 1),
		"no change":               `{"format_version": "1.2", "terraform_version": "1.9.5", "resource_changes": [null]}`,
		"an action that is not":   strings.Replace(planJSON, `["create"]`, `["explode"]`, 1),
		"actions in an odd order": strings.Replace(planJSON, `["create"]`, `["update", "create"]`, 1),
		"half of it":              planJSON[:len(planJSON)/2],
		"no UTF-8":                strings.Replace(planJSON, "hunter2", "\xff", 1),
		"another document":        `{"a": 1}`,
		"too large":               planJSON + strings.Repeat(" ", inspect.MaxPlanJSON),
		"a list":                  `[]`,
	} {
		if p, err := inspect.TerraformPlanJSON(strings.NewReader(body)); !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// TestAFieldThatIsWrittenOtherwiseHidesNothing: a reader of protobuf passes over a field of
// another wire type, so that an action which follows as one counts for who shows the plan
// and not for who applies it.
func TestAFieldThatIsWrittenOtherwiseHidesNothing(t *testing.T) {
	otherwise := func(number protowire.Number, but protowire.Type) map[string][]byte {
		out := map[string][]byte{}
		for name, as := range map[string]struct {
			kind protowire.Type
			body []byte
		}{
			"varint": {protowire.VarintType, protowire.AppendVarint(nil, 0)}, "fixed32": {protowire.Fixed32Type, protowire.AppendFixed32(nil, 0)},
			"fixed64": {protowire.Fixed64Type, protowire.AppendFixed64(nil, 0)}, "bytes": {protowire.BytesType, protowire.AppendBytes(nil, nil)},
			"group": {protowire.StartGroupType, protowire.AppendTag(nil, number, protowire.EndGroupType)},
		} {
			if as.kind != but {
				out[name] = append(protowire.AppendTag(nil, number, as.kind), as.body...)
			}
		}
		return out
	}
	destroys := change{address: "shop_db.main", action: 5}
	refused := func(what, how string, tail func(change, action, plan []byte) (c, a, p []byte)) {
		t.Helper()
		action := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), destroys.action)
		c := protowire.AppendString(protowire.AppendTag(nil, 13, protowire.BytesType), destroys.address)
		c, action, p := tail(c, action, []byte(plan(3, "1.9.5")))
		c = append(protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), action), c...)
		p = append(p, protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), c)...)
		got, err := inspect.TerraformPlan(bytes.NewReader(zipOf(t, entry{name: "tfplan", body: string(p)},
			entry{name: "tfstate", body: `{"version":4}`}, entry{name: "tfconfig/main.tf", body: "terraform {}"})))
		if how == "" && (err != nil || got.Changes.GetDelete() != 1) {
			t.Errorf("as it is: %v, %v", got, err)
		}
		if how != "" && !errors.Is(err, inspect.ErrKind) {
			t.Errorf("%s as %s: %v, %v", what, how, got, err)
		}
	}
	refused("", "", func(c, a, p []byte) ([]byte, []byte, []byte) { return c, a, p })
	for how, tail := range otherwise(1, protowire.VarintType) {
		refused("action", how, func(c, a, p []byte) ([]byte, []byte, []byte) { return c, append(a, tail...), p })
	}
	for _, number := range []protowire.Number{7, 9, 13} {
		for how, tail := range otherwise(number, protowire.BytesType) {
			refused(fmt.Sprintf("field %d of a change", number), how, func(c, a, p []byte) ([]byte, []byte, []byte) { return append(c, tail...), a, p })
		}
	}
	for number, kind := range map[protowire.Number]protowire.Type{
		1: protowire.VarintType, 3: protowire.BytesType, 14: protowire.BytesType, 20: protowire.VarintType, 27: protowire.BytesType, 30: protowire.BytesType,
	} {
		for how, tail := range otherwise(number, kind) {
			refused(fmt.Sprintf("field %d of the plan", number), how, func(c, a, p []byte) ([]byte, []byte, []byte) { return c, a, append(p, tail...) })
		}
	}
}
