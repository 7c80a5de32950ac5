package command

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// askedElsewhere are verbs whose forms are not asked for in the scripts.
var askedElsewhere = map[string]string{
	"replay": "needs a history that is signed and recorded: e2e TestDemo asks for both forms",
}

// TestEveryFormIsAskedFor walks the commands: each form that one offers is asked for by
// its name in a script that ends well.
func TestEveryFormIsAskedFor(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range scripts {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "exits 0 shipwarden ") || strings.HasPrefix(line, "exits 1 shipwarden ") {
				lines = append(lines, line[len("exits 0 shipwarden "):]+" ")
			}
		}
	}
	asked := func(verb, form string) bool {
		return slices.ContainsFunc(lines, func(line string) bool {
			return strings.HasPrefix(line, verb+" ") && strings.Contains(line, " -o "+form+" ")
		})
	}
	verbs := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		flag := c.Flags().Lookup("output")
		verb := strings.TrimPrefix(c.CommandPath(), "shipwarden ")
		if flag == nil || askedElsewhere[verb] != "" {
			return
		}
		verbs++
		words := strings.TrimPrefix(flag.Usage, "form of the output: ")
		for form := range strings.SplitSeq(words, "|") {
			if !asked(verb, form) {
				t.Errorf("no script asks for shipwarden %s -o %s", verb, form)
			}
		}
	}
	walk(quiet().root)
	if verbs < 12 {
		t.Errorf("only %d verbs have forms", verbs)
	}
}

// same FILE.json demands that what was printed last is YAML, and the same as a file of JSON.
func same(ts *testscript.TestScript, _ bool, args []string) {
	printed := ts.ReadFile("stdout")
	if strings.HasPrefix(printed, "{") {
		ts.Fatalf("it is not printed as YAML")
	}
	var want, have any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &want))
	ts.Check(yaml.Unmarshal([]byte(printed), &have))
	raw, err := json.Marshal(have)
	ts.Check(err)
	ts.Check(json.NewDecoder(bytes.NewReader(raw)).Decode(&have))
	if diff := cmp.Diff(want, have); diff != "" {
		ts.Fatalf("JSON and YAML are not the same:\n%s", diff)
	}
}
