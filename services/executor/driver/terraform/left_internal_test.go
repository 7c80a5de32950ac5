package terraform

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tfjson "github.com/hashicorp/terraform-json"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver/veil"
)

// aState has what states have: a module, keys of both kinds, an instance that is left of a
// replacement, what was read, an output, and values that are secret.
const aState = `{"version": 4, "serial": 7, "lineage": "l", "outputs": {"pin": {"value": "4711", "type": "string", "sensitive": true}},
	"resources": [
		{"module": "module.shop[\"eu\"]", "mode": "managed", "type": "db", "name": "orders", "instances": [
			{"index_key": 0, "attributes": {"pin": "4711", "size": 3}}, {"index_key": "a\nb", "status": "tainted", "attributes": {"pin": "4711"}}]},
		{"mode": "managed", "type": "db", "name": "prices", "instances": [{"attributes": {"size": 3, "pin": "4711"}}, {"deposed": "0123abcd", "attributes_flat": {"pin": "4711"}}]},
		{"mode": "data", "type": "db", "name": "read", "instances": [{"attributes": {"now": 1}}]}
	]}`

func nothing(string) bool { return false }

func leftOf(t *testing.T, text string) left {
	t.Helper()
	h, err := holdsOf([]byte(text))
	l := left{Salt: []byte("salt")}
	if err == nil {
		err = l.take(t.Context(), h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestAStateIsHeldToWhatWasLeftByEachAddress whatever there is about it, and not to how it is
// written, what was read, or what the program notes for itself.
func TestAStateIsHeldToWhatWasLeftByEachAddress(t *testing.T) {
	l := leftOf(t, aState)
	for name, test := range map[string]struct {
		from, to string
		want     []string
	}{
		"nothing":        {"", "", nil},
		"other order":    {`{"size": 3, "pin": "4711"}`, `{"pin":"4711","size":3}`, nil},
		"what is read":   {`{"now": 1}`, `{"now": 2}`, nil},
		"the serial":     {`"serial": 7`, `"serial": 9`, []string{"state: somebody else has written it: serial 9, and 7 was left"}},
		"the lineage":    {`"lineage": "l"`, `"lineage": "m"`, []string{"state: it is another one: m, serial 7, and l, serial 7 was left"}},
		"a value":        {`{"pin": "4711", "size": 3}`, `{"pin": "4712", "size": 3}`, []string{`module.shop["eu"].db.orders[0]: the state does not have it as it was left`}},
		"a large number": {`"size": 3, "pin"`, `"size": 9007199254740993, "pin"`, []string{"db.prices: the state does not have it as it was left"}},
		"its status":     {`"status": "tainted", `, "", []string{`module.shop["eu"].db.orders["a\nb"]: the state does not have it as it was left`}},
		"what is left of a replacement": {
			`{"deposed": "0123abcd", "attributes_flat": {"pin": "4711"}}`, `{"deposed": "0123abcd", "attributes_flat": {"pin": "1"}}`,
			[]string{"db.prices deposed 0123abcd: the state does not have it as it was left"},
		},
		"another name": {`"name": "prices"`, `"name": "costs"`, []string{
			"db.costs deposed 0123abcd: no release has put it into the state", "db.costs: no release has put it into the state",
			"db.prices deposed 0123abcd: it is not in the state any more", "db.prices: it is not in the state any more",
		}},
		"an output": {`"value": "4711"`, `"value": "1"`, []string{"output pin: the state does not have it as it was left"}},
	} {
		h, err := holdsOf([]byte(strings.Replace(aState, test.from, test.to, 1)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := l.moved(t.Context(), h, nothing)
		if slices.Sort(got); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
	h, err := holdsOf([]byte(strings.Replace(strings.Replace(aState, `"size": 3, "pin"`, `"size": 4, "pin"`, 1), `"serial": 7`, `"serial": 8`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	// Of what others may change nobody is told, nor that they wrote it.
	if got, err := l.moved(t.Context(), h, func(place string) bool { return addressIn(place) == "db.prices" }); err != nil || len(got) > 0 {
		t.Errorf("what is left out: %q, %v", got, err)
	}
}

// TestWhoReadsWhatWasLeftCannotTrySecretsOneByOne: a plain digest would tell what a short secret is,
// and which are equal.
func TestWhoReadsWhatWasLeftCannotTrySecretsOneByOne(t *testing.T) {
	l := leftOf(t, aState)
	h, err := holdsOf([]byte(aState))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for place, content := range h.places {
		digest := l.Places[place]
		for _, guess := range []string{"4711", `"4711"`, content, place + content} {
			if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(guess))); strings.Contains(digest, sum[:12]) {
				t.Errorf("%s has the digest of %s", place, guess)
			}
		}
		if !strings.HasPrefix(digest, "argon2id:") || seen[digest] {
			t.Errorf("%s has %s", place, digest)
		}
		seen[digest] = true
	}
	if l.Memory != veil.Memory {
		t.Errorf("a guess takes %d KiB", l.Memory)
	}
	other := left{Salt: []byte("another")}
	if err := other.take(t.Context(), h); err != nil || other.All == l.All || other.Places["output pin"] == l.Places["output pin"] {
		t.Errorf("the same under another salt: %v", err)
	}
}

// TestALargeStateIsLeftInSomeSeconds, and a guess costs less then, but never nothing.
func TestALargeStateIsLeftInSomeSeconds(t *testing.T) {
	for places, want := range map[int]uint32{1: veil.Memory, veiled: veil.Memory, 4 * veiled: veil.Memory / 4, 1_000_000: minMemory} {
		if got := memoryFor(places); got != want {
			t.Errorf("of %d places each digest takes %d KiB, want %d", places, got, want)
		}
	}
}

func TestWhatIsNoStateIsRefusedWithoutItsWords(t *testing.T) {
	if h, err := holdsOf([]byte(" \n")); err != nil || len(h.places) > 0 || h.state != (position{}) {
		t.Errorf("nothing: %+v, %v", h, err)
	}
	for name, text := range map[string]string{
		"no JSON": "pin-4711", "another form": `{"version": 4, "resources": {"pin": "4711"}}`, "an older format": `{"version": 3, "modules": ["4711"]}`, "cut off": aState[:300],
	} {
		if _, err := holdsOf([]byte(text)); err == nil || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatProvidersSayIsALineForEachResource, with the names of attributes and no values.
func TestWhatProvidersSayIsALineForEachResource(t *testing.T) {
	change := func(address string, actions tfjson.Actions, before, after map[string]any) *tfjson.ResourceChange {
		c := &tfjson.ResourceChange{Address: address, Type: kindIn(address), Change: &tfjson.Change{Actions: actions}}
		if before != nil {
			c.Change.Before = before
		}
		if after != nil {
			c.Change.After = after
		}
		return c
	}
	update := tfjson.Actions{tfjson.ActionUpdate}
	all := []*tfjson.ResourceChange{
		change("db.orders", update, map[string]any{"pin": "4711", "size": 3, "tags": nil}, map[string]any{"pin": "4712", "size": 3, "tags": []any{"x"}}),
		change("db.gone", tfjson.Actions{tfjson.ActionDelete}, map[string]any{"pin": "4711"}, nil),
		change("db.moved", tfjson.Actions{tfjson.ActionNoop}, nil, nil),
		change("group.web", update, map[string]any{"capacity": 3, "size": 1}, map[string]any{"capacity": 5, "size": 1}),
		nil,
	}
	for _, test := range []struct {
		leaveOut []string
		want     []string
	}{
		{nil, []string{"db.gone: it is not there as the state has it", "db.orders: pin, tags is not as the state has it", "group.web: capacity is not as the state has it"}},
		{[]string{"group.* capacity", "db tags", "db.gone pin"}, []string{"db.gone: it is not there as the state has it", "db.orders: pin is not as the state has it"}},
		{[]string{"db", "group.web capacity"}, nil},
	} {
		d, err := New(&configv1.TerraformDriver{Folder: "/f", Binary: "/b", Version: "1.0.0", Look: &configv1.TerraformLook{LeaveOut: test.leaveOut}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.drifted(all, left{}); !slices.Equal(got, test.want) {
			t.Errorf("without %q:\n%s\nwant\n%s", test.leaveOut, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
		if got := d.Patience(); got != time.Minute+30*time.Second {
			t.Errorf("a look may take %s", got)
		}
	}
	_, err := New(&configv1.TerraformDriver{Folder: "/f", Binary: "/b", Version: "1.0.0", Look: &configv1.TerraformLook{LeaveOut: []string{"db", "Not a type", "X capacity"}}}, Options{})
	if err == nil || !strings.Contains(err.Error(), `look.leave_out[1]: "Not a" is neither`) || !strings.Contains(err.Error(), `look.leave_out[2]: "X" is neither`) || strings.Contains(err.Error(), "leave_out[0]") {
		t.Errorf("got %v", err)
	}
}
