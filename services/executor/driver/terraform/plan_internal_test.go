package terraform

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

const shown = `{"format_version":"1.2","terraform_version":"1.12.6","timestamp":"2026-11-29T22:59:40Z","complete":true,"errored":false,
"resource_changes":[
 {"address":"b.two","mode":"managed","type":"b","name":"two","change":{"actions":["delete","create"],"before":{"size":1,"key":"hush"},"after":{"size":2,"key":"hush-hush"},"after_unknown":{"id":true},"before_sensitive":{"key":true},"after_sensitive":{"key":true}}},
 {"address":"a.one[\"x\"]","mode":"managed","type":"a","name":"one","index":"x","change":{"actions":["delete"],"before":{"size":1},"after":null,"after_unknown":{}}}],
"output_changes":{"out":{"actions":["update"],"before":1,"after":2}}}`

func parsed(t *testing.T, text string) planned {
	t.Helper()
	p := planned{plan: &tfjson.Plan{}, state: position{Lineage: "life", Serial: 7}}
	var err error
	if p.digest, err = canonical([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), p.plan); err != nil {
		t.Fatal(err)
	}
	return p
}

func guarding(t *testing.T, entries ...string) *Driver {
	t.Helper()
	all, err := guards(entries)
	if err != nil {
		t.Fatal(err)
	}
	return &Driver{protect: all, tool: &tool{version: "1.12.6"}}
}

func TestAPlanIsShownByNamesAndHeldAgainstByAllThatItSays(t *testing.T) {
	p := parsed(t, shown)
	want := `version: 1.12.6
state:   life, serial 7
destroy: a.one["x"]
  size is removed
replace: b.two
  id is known after it
  key changes (sensitive)
  size changes
update: output out
0 to create, 0 to update, 1 to replace, 1 to destroy, 0 to forget; plan ` + p.digest + "\n"
	if got := p.text(guarding(t)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for what, test := range map[string]struct {
		old, new string
		same     bool
	}{
		"another time":              {"22:59:40Z", "23:00:00Z", true},
		"another value":             {`"size":2`, `"size":3`, false},
		"another secret":            {"hush-hush", "hush", false},
		"a field that is not known": {`"complete":true`, `"complete":true,"new_thing":[1]`, false},
		"a large number":            {`"size":2`, `"size":9007199254740993`, false},
	} {
		if same := parsed(t, strings.Replace(shown, test.old, test.new, 1)).digest == p.digest; same != test.same {
			t.Errorf("%s: the digest is the same: %t", what, same)
		}
	}
	if large := strings.Replace(shown, `"size":2`, `"size":9007199254740993`, 1); parsed(t, large).digest == parsed(t, strings.Replace(large, "993", "992", 1)).digest {
		t.Error("two numbers that floating point takes for one have one digest")
	}
}

func TestWhatAPlanDoesBesidesIsShown(t *testing.T) {
	text := strings.Replace(shown, `"resource_changes":[`, `"action_invocations":[{"address":"action.x.two"},{"address":"action.x.one"}],
"resource_changes":[{"address":"c.three","mode":"managed","type":"c","name":"three","change":{"actions":["no-op"],"importing":{"id":"hush"}}},`, 1)
	got := parsed(t, text).text(guarding(t))
	for _, want := range []string{"\nimport: c.three\n", "\nrun: action.x.one\nrun: action.x.two\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
}

func TestWhatIsProtected(t *testing.T) {
	p := parsed(t, shown)
	for entry, want := range map[string]string{
		"b": "replace b.two", "a.one": `destroy a.one["x"]`, `a.one["x"]`: `destroy a.one["x"]`, "a.*": "destroy a.one", "*.two": "replace b.two",
		"c": "", `a.one["y"]`: "", "a.on": "", "one": "", "module.*.two": "",
	} {
		err := guarding(t, entry).spare(p)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}

func TestWhatIsProtectedIsSoUnderEveryKeyAndWhereItMoves(t *testing.T) {
	for address, entries := range map[string][]string{
		`module.shop[0].a.one`:                    {"module.shop.a.*", "module.shop.a.one", "module.shop[0].a.one", "module.*.one", "a"},
		`module.shop["x"].module.in["y.z"].a.one`: {"module.shop.module.in.a.one", `module.shop["x"].module.in.a.one`, `module.shop.module.in["y.z"].a.one`},
		`a.one["x[0"]`:                            {"a.one", `a.one["x[0"]`},
		`a.one["x\"].b[\\"]`:                      {"a.one"},
		`module.shop["x[\\"].a.one[3]`:            {"module.shop.a.one", "a"},
		`aws_db_instance.one`:                     {"aws_db_*", "aws_*.one"},
		`module.shop[0].aws_db_instance.one`:      {"aws_db_*", "*_db_instance"},
	} {
		kind := "a"
		if strings.Contains(address, "aws_db_instance") {
			kind = "aws_db_instance"
		}
		for _, entry := range entries {
			p := planned{plan: &tfjson.Plan{ResourceChanges: []*tfjson.ResourceChange{{Address: address, Type: kind, Change: &tfjson.Change{Actions: tfjson.Actions{tfjson.ActionDelete}}}}}}
			if err := guarding(t, entry).spare(p); err == nil {
				t.Errorf("%s does not protect %s", entry, address)
			}
			if err := guarding(t, "module.other."+entry).spare(p); err != nil {
				t.Errorf("%s in another module: %v", entry, err)
			}
		}
	}
	for entry, want := range map[string]string{
		"a.one": "move a.one to a.two", "b": "move module.m.b.one to a.three", "a": "", "a.*": "", "*.two": "",
	} {
		moved := &tfjson.Change{Actions: tfjson.Actions{tfjson.ActionNoop}}
		p := planned{plan: &tfjson.Plan{ResourceChanges: []*tfjson.ResourceChange{
			{Address: "a.two", PreviousAddress: "a.one", Type: "a", Change: moved},
			{Address: "a.three", PreviousAddress: "module.m.b.one", Type: "a", Change: moved},
		}}}
		err := guarding(t, entry).spare(p)
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want+":") {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}

func TestWhatIsLeftOfAChangeIsAPartOfIt(t *testing.T) {
	d := guarding(t, "kept")
	leave := leaveOf("e", "d", "t", parsed(t, shown))
	for what, test := range map[string]struct {
		old, new string
		beyond   string
	}{
		"nothing was done":        {"", "", ""},
		"the id is known now":     {`"after_unknown":{"id":true}`, `"after_unknown":{}`, ""},
		"one was destroyed":       {`["delete","create"]`, `["create"]`, ""},
		"another value":           {`"size":2`, `"size":3`, "replace b.two: attribute size"},
		"something else":          {`"b.two"`, `"b.three"`, "replace b.three"},
		"destroyed, not replaced": {`["delete","create"]`, `["delete"]`, "destroy b.two"},
		"another output":          {`"out":`, `"other":`, "output other"},
	} {
		err := leave.within(d, parsed(t, strings.Replace(shown, test.old, test.new, 1)))
		if (err != nil) != (test.beyond != "") || err != nil && !strings.Contains(err.Error(), test.beyond) {
			t.Errorf("%s: %v, want %q", what, err, test.beyond)
		}
	}
	made := strings.Replace(shown, `["delete","create"]`, `["create"]`, 1)
	tainted := strings.Replace(shown, `"change":{"actions":["delete","create"]`, `"action_reason":"replace_because_tainted","change":{"actions":["delete","create"]`, 1)
	leave = leaveOf("e", "d", "t", parsed(t, made))
	if err := leave.within(d, parsed(t, shown)); err == nil {
		t.Error("what was to be made is replaced, and nobody knows why")
	}
	if err := leave.within(d, parsed(t, tainted)); err != nil {
		t.Errorf("what was half made cannot be made again: %v", err)
	}
	if err := leave.within(guarding(t, "b"), parsed(t, tainted)); err == nil {
		t.Error("what is protected is replaced")
	}
}

func TestAFailureIsSaidByItsTitlesAlone(t *testing.T) {
	text := "╷\n│ Error: Invalid value for variable\n│ \n│   on main.tf line 3:\n│   var.password is \"hush\"\n╵\nError: Second\n"
	if got := summary(text); got != "Invalid value for variable; Second" {
		t.Errorf("got %q", got)
	}
	if got := summary("hush"); got != "it does not say why" {
		t.Errorf("got %q", got)
	}
}

// Whatever a program prints or writes, reading it ends, and the same is read in the same way.
func FuzzNothingThatTerraformWritesBreaksAnything(f *testing.F) {
	shaketest.Add(f, shown)
	shaketest.Add(f, "provider \"registry.example.test/own/x\" {\n  version     = \"1.0.0\"\n  hashes = [\n    \"h1:x\",\n  ]\n}\n")
	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	w, err := z.Create("tfstate")
	if err == nil {
		_, err = w.Write([]byte(`{"version":4,"serial":7,"lineage":"life"}`))
	}
	if err != nil || z.Close() != nil {
		f.Fatal(err)
	}
	shaketest.Add(f, packed.String())
	shaketest.Add(f, aState)
	f.Fuzz(func(t *testing.T, text string) {
		first, err := canonical([]byte(text))
		if second, again := canonical([]byte(text)); first != second || (err == nil) != (again == nil) {
			t.Errorf("read as %s, %v and as %s, %v", first, err, second, again)
		}
		_ = locked([]byte(text))
		if got := summary(text); len(got) > 2*maxSummary {
			t.Errorf("%d bytes", len(got))
		}
		path := filepath.Join(t.TempDir(), "plan")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = positionIn(path)
		if _, err := holdsOf([]byte(text)); err != nil && strings.Contains(text, "hush") && strings.Contains(err.Error(), "hush") {
			t.Errorf("a value is shown: %v", err)
		}
		p := planned{plan: &tfjson.Plan{}}
		if json.Unmarshal([]byte(text), p.plan) != nil {
			return
		}
		d := &Driver{tool: &tool{}}
		said := p.text(d) + strings.Join(d.drifted(p.plan.ResourceDrift, left{}), "\n")
		if strings.Contains(text, "hush") && strings.Contains(said, "hush") {
			t.Errorf("a value is shown:\n%s", said)
		}
		_ = d.spare(p)
		_ = leaveOf("e", "d", "t", p).within(d, p)
	})
}
