package strictyaml_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy/strictyaml"
	"github.com/blackdice/shipwarden/internal/shaketest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func TestDocumentIsRead(t *testing.T) {
	var group policyv1.Group
	if err := strictyaml.Unmarshal([]byte("# sre\nname: sre\r\nmembers: [mia, olu]\n"), "group.yaml", &group, nil); err != nil {
		t.Fatal(err)
	}
	if group.GetName() != "sre" || len(group.GetMembers()) != 2 {
		t.Errorf("read %v", &group)
	}
}

func TestWhatNobodyCanHaveMeantIsRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		yaml string
		want []string
	}{
		{"empty file", "", []string{"group.yaml:1:1 the document is empty"}},
		{"comments alone", "# nothing\n", []string{"group.yaml:1:1 the document is empty"}},
		{"null", "~\n", []string{"group.yaml:1:1", "name"}},
		{"list", "- a\n", []string{"group.yaml:1:1 expected fields"}},
		{"ends before a value", "? 1", []string{"group.yaml:2:1 the document ends where a value is expected"}},
		{"no YAML", "name: [", []string{"group.yaml:1:1 no YAML: did not find expected node content"}},
		{"what is not closed", "name: sre\nmembers: [a\nmore: b\n", []string{"group.yaml:2:1 no YAML: did not find expected ',' or ']' in what begins here"}},
		{"wrong indent", "name: sre\n  members: [a]\n", []string{"group.yaml:2:3 no YAML: mapping values are not allowed"}},
		{"unknown field", "name: sre\nmember: []\n", []string{`group.yaml:2:1 unknown field "member"`}},
		{"key given twice", "name: sre\nmembers: [a]\nmembers: [b]\n", []string{"group.yaml:3:1 members is given twice, first in line 2"}},
		{"second document", "name: sre\n---\nname: ops\n", []string{"group.yaml:2:1 a second document begins here"}},
		{"broken second document", "name: sre\n---\n[\n", []string{"group.yaml:3:1 no YAML:"}},
		{"what holds itself", "name: sre\nmembers: &m [*m]\n", []string{"group.yaml:2:10 anchors are not allowed", "group.yaml:2:14 aliases are not allowed"}},
		{"anchor and alias", "name: &n sre\nmembers: [*n]\n", []string{"group.yaml:1:7 anchors", "group.yaml:2:11 aliases"}},
		{"field number as key", "1: sre\n", []string{"group.yaml:1:1 field 1: write the name"}},
		{"lone carriage return", "name: sre\rmembers: 3\n", []string{"group.yaml:1:10 the character U+000D"}},
		{"line separator", "name: sre # \u2028x\n", []string{"group.yaml:1:13 the character U+2028"}},
		{"NUL", "name: \"a\x00\"\n", []string{"group.yaml:1:9 the character U+0000"}},
		{"not UTF-8", "name: \xff\n", []string{"group.yaml:1:7 not UTF-8"}},
		{"wrong type", "name: sre\nmembers: mia\n", []string{"group.yaml:2:10 members: expected sequence, got scalar"}},
		{"broken rule", "name: SRE\n", []string{"group.yaml:1:7 name: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := strictyaml.Unmarshal([]byte(test.yaml), "group.yaml", &policyv1.Group{}, nil)
			if !errors.Is(err, strictyaml.ErrInvalid) {
				t.Fatalf("error %v, want ErrInvalid", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

// TestWhatCouldNotBeReadIsToldOnce: that it is missing then, too, is no news.
func TestWhatCouldNotBeReadIsToldOnce(t *testing.T) {
	err := strictyaml.Unmarshal([]byte("bake: two\nchecks: [{name: a, tcp: {}}]\n"), "v.yaml", &releasev1.Validation{}, nil)
	if err == nil || !strings.Contains(err.Error(), "v.yaml:1:7 bake: invalid") || strings.Count(err.Error(), "bake:") != 3 { // with its line, twice
		t.Errorf("error %v", err)
	}
	if err == nil || !strings.Contains(err.Error(), "v.yaml:1:1 interval: required\n") {
		t.Errorf("what is missing is not called required: %v", err)
	}
}

func TestNobodyIsOfferedTheEnumsZero(t *testing.T) {
	for _, text := range []string{"strategy: STRATEGY_NOWHERE\n", "description: a\n"} {
		err := strictyaml.Unmarshal([]byte(text), "r.yaml", &releasev1.RollbackPlan{}, nil)
		if err == nil || strings.Contains(err.Error(), "UNSPECIFIED") || !strings.Contains(err.Error(), "STRATEGY_PREVIOUS_VERSION") {
			t.Errorf("error %v", err)
		}
	}
}

func TestARuleOfAMessageNamesItsPlace(t *testing.T) {
	err := strictyaml.Unmarshal([]byte("\nstrategy: STRATEGY_NONE\ndescription: a\n"), "r.yaml", &releasev1.RollbackPlan{}, nil)
	if err == nil || !strings.Contains(err.Error(), "r.yaml:2:1 recovery: required where") {
		t.Errorf("error %v", err)
	}
}

// TestAFileOfJSONIsReadAsJSON: its author knows nothing of YAML.
func TestAFileOfJSONIsReadAsJSON(t *testing.T) {
	var group policyv1.Group
	if err := strictyaml.Unmarshal([]byte("{\n\t\"name\": \"sre\",\n\t\"members\": [\"mia\"]\n}\n"), "g.json", &group, nil); err != nil || group.GetName() != "sre" {
		t.Errorf("tabs, as in any JSON: %v, %v", &group, err)
	}
	for text, want := range map[string]string{
		"":                                       "g.json:1:1 the document is empty",
		"name: sre\n":                            "g.json:1:2 no JSON: invalid character 'a' in literal null",
		"{\"name\": \"sre\"\n\t\"members\": []}": "g.json:2:2 no JSON: invalid character '\"' after object key:value pair",
		"{\"name\": \"sre\",\n":                  "g.json:2:1 no JSON: it ends in the middle",
		"{\"name\": \"sre\"}\n{}":                "g.json:2:1 no JSON: only one value is read",
		"{\"name\": \"sre\",\n\t\"members\": 3}": "g.json:2:13 members: expected sequence, got scalar",
	} {
		err := strictyaml.Unmarshal([]byte(text), "g.json", &policyv1.Group{}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error lacks %q: %v", text, want, err)
		}
	}
}

func TestTwoSpellingsOfOneFieldAreOneKey(t *testing.T) {
	yaml := "id: k\nnot_before: 2026-01-01T00:00:00Z\nnotBefore: 2027-01-01T00:00:00Z\n"
	err := strictyaml.Decode([]byte(yaml), "key.yaml", &policyv1.Key{})
	if err == nil || !strings.Contains(err.Error(), "key.yaml:3:1 notBefore is given twice, first in line 2") {
		t.Errorf("error %v", err)
	}
}

func TestEveryProblemIsToldAtOnce(t *testing.T) {
	yaml := "name: SRE\nmember: []\nmembers: [a]\nmembers: [b]\n"
	check := func() []strictyaml.Violation {
		return []strictyaml.Violation{{Field: "members[0]", Rule: "person.unknown", Message: "nobody is called so"}}
	}
	err := strictyaml.Unmarshal([]byte(yaml), "g.yaml", &policyv1.Group{}, check)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"g.yaml:1:7 name", "g.yaml:2:1 unknown", "g.yaml:4:1 members is given twice", "members[0]: nobody is called so (person.unknown)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestDecodeAppliesNoRules(t *testing.T) {
	var group policyv1.Group
	if err := strictyaml.Decode([]byte("name: SRE\n"), "g.yaml", &group); err != nil {
		t.Fatal(err)
	}
}

func TestTooLargeDocumentIsNotRead(t *testing.T) {
	data := []byte("name: sre #" + strings.Repeat("x", strictyaml.MaxSize))
	if err := strictyaml.Decode(data, "g.yaml", &policyv1.Group{}); !errors.Is(err, strictyaml.ErrTooLarge) {
		t.Errorf("error %v", err)
	}
}

func FuzzUnmarshal(f *testing.F) {
	shaketest.Add(f, []byte("id: PROC-X\nversion: \"1\"\npeople: [{id: a, name: A}]\n"))
	shaketest.Add(f, []byte("freezes: [{weekly: {from_day: DAY_MONDAY}}]\ndeadlines: {step: 1m}\n"))
	shaketest.Add(f, []byte("a: &a [*a]\n"))
	shaketest.Add(f, []byte("? [a, b]\n: c\n"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		// Whatever a file holds, reading it ends, and not in a panic.
		_ = strictyaml.Unmarshal(data, "f.yaml", &policyv1.Procedure{}, nil)
	})
}
