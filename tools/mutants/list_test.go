package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const list = `# A comment.

mutant one becomes two
file a.go
-	return 1
+	return 2

mutant both lines and a third
file a.go
-	x()
-	y()
+	y()
-	return 1
+
`

func TestParse(t *testing.T) {
	all, err := parse(list)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].name != "one becomes two" || all[0].file != "a.go" || all[0].line != 3 {
		t.Fatalf("got %+v", all)
	}
	if e := all[1].edits; len(e) != 2 || e[0] != (edit{"\tx()\n\ty()", "\ty()"}) || e[1] != (edit{"\treturn 1", ""}) {
		t.Errorf("got edits %+v", e)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"file a.go\n":                                        "line 1: stands before",
		"mutant a\nfile a.go\n":                              "changes nothing",
		"mutant a\n-x\n+y\n":                                 "no file",
		"mutant a\nfile a.go\n+x\n":                          "line 3",
		"mutant a\nfile a.go\nx\n":                           "line 3",
		"mutant a\nfile a\n-x\n+y\nmutant a\nfile a\n-x\n+y": "there twice",
	} {
		if _, err := parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestApply(t *testing.T) {
	m := mutant{file: "a.go", edits: []edit{{"one", "two"}, {"three", ""}}}
	if got, err := m.apply("one three"); err != nil || got != "two " {
		t.Errorf("got %q, %v", got, err)
	}
	for source, want := range map[string]string{"three": "0 times", "one one three": "2 times", "one": "0 times"} {
		if _, err := m.apply(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", source, err, want)
		}
	}
	if _, err := (mutant{edits: []edit{{"a", "a"}}}).apply("a"); err == nil {
		t.Error("a mutant that changes nothing was made")
	}
}

// Every mistake of the lists can be made in what is there now: one whose place has changed
// would not be tried, and nobody would hear of it before the list is run.
func TestEveryMistakeOfTheListApplies(t *testing.T) {
	lists, err := filepath.Glob("../../*/mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob("../../*/*/mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	least := map[string]int{"../../procedure": 100, "../../internal/consent": 20}
	for _, list := range append(lists, deeper...) {
		folder := filepath.Dir(list)
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		all, err := parse(string(text))
		if err != nil || len(all) < max(least[folder], 1) {
			t.Errorf("%s: %d mistakes, %v", list, len(all), err)
		}
		delete(least, folder)
		for _, m := range all {
			source, err := os.ReadFile(filepath.Join(folder, m.file))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.apply(string(source)); err != nil {
				t.Errorf("%s: %s: %v", list, m.name, err)
			}
		}
	}
	for folder := range least {
		t.Errorf("%s has no list", folder)
	}
}
