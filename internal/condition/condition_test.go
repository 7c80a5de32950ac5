package condition_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/condition"
	"github.com/blackdice/shipwarden/internal/shaketest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

var now = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)

func facts(t testing.TB) condition.Facts {
	t.Helper()
	predicate, err := structpb.NewStruct(map[string]any{
		"result": "approved", "coverage": 0.93, "findings": []any{}, "last_push": "2026-11-30T10:00:00Z", "approved_at": "2026-11-30T11:00:00Z",
		"long": strings.Repeat("a", 300), "list": list(300),
	})
	if err != nil {
		t.Fatal(err)
	}
	return condition.Facts{
		Attestation: &policyv1.Attestation{
			PredicateType: "review/v1", Predicate: predicate, Subjects: []string{"sha256:aa"},
			Signer: &policyv1.Signer{Id: "workflow", SourceRef: "refs/heads/main"}, Signed: timestamppb.New(now.Add(-time.Hour)),
		},
		Artifact: &releasev1.Artifact{Name: "web", Kind: releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE},
		Request:  &releasev1.Request{Service: "shop", Risk: &releasev1.Risk{Areas: []string{"authentication"}}},
		Authors:  []string{"alice"}, Reviewers: []string{"bob", "erin"},
		Groups: map[string][]string{"security": {"erin", "frank"}}, Now: now,
	}
}

func list(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = float64(i)
	}
	return out
}

func TestWhatHolds(t *testing.T) {
	for expression, want := range map[string]bool{
		`attestation.predicate.result == "approved"`:                                                                    true,
		`attestation.predicate.result == "rejected"`:                                                                    false,
		`attestation.predicate.coverage >= 0.9`:                                                                         true,
		`size(attestation.predicate.findings) == 0`:                                                                     true,
		`now - attestation.signed < duration("2h")`:                                                                     true,
		`now - attestation.signed < duration("30m")`:                                                                    false,
		`timestamp(attestation.predicate.approved_at) > timestamp(attestation.predicate.last_push)`:                     true,
		`!request.risk.areas.exists(a, a == "authentication") || reviewers.exists(r, r in groups["security"])`:          true,
		`!reviewers.exists(r, r in authors)`:                                                                            true,
		`artifact.kind == 2`:                                                                                            true,
		`attestation.signer.source_ref.startsWith("refs/heads/") && attestation.signer.id.matches("^work")`:             true,
		`has(attestation.predicate.absent)`:                                                                             false,
		`sets.contains(attestation.subjects, ["sha256:aa"])`:                                                            true,
		`request.service in ["shop", "billing"] && attestation.predicate_type.split("/")[1] == "v1"`:                    true,
		`attestation.predicate.list.exists(a, a == 299.0)`:                                                              true,
		`(has(attestation.predicate.absent) && attestation.predicate.absent > 3) || attestation.predicate.coverage > 0`: true,
	} {
		c, err := condition.Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if got, err := c.Holds(facts(t)); got != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", expression, got, err, want)
		}
	}
}

func TestWhatDoesNotCompileNamesItsPlace(t *testing.T) {
	for expression, want := range map[string]string{
		``:                                       "1:1:",
		`attestation.predicate.result == `:       "1:33: ",
		"attestation.predicate.ok &&\n  nothing": "2:3: undeclared reference to 'nothing'",
		`artifact.color == "red"`:                "1:9: undefined field 'color'",
		`request.service == 3`:                   "1:17: found no matching overload for '_==_'",
		`request.service`:                        "it is of type string, and not bool",
		`attestation.predicate.result`:           "it is of type dyn, and not bool",
		strings.Repeat("(", 500) + "true" + strings.Repeat(")", 500): "1:",
		`"` + strings.Repeat("a", 5000) + `" == ""`:                  "size",
		`"` + strings.Repeat("a", 100_000) + `" == ""`:               "size",
		`request.service.matches("(")`:                               "",
	} {
		c, err := condition.Compile(expression)
		if expression == `request.service.matches("(")` && err == nil { // some versions find it only then
			_, err = c.Holds(facts(t))
			if !errors.Is(err, condition.ErrEvaluation) {
				t.Errorf("%s: %v", expression, err)
			}
			continue
		}
		if !errors.Is(err, condition.ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %s", expression, err, want)
		}
	}
}

// What cannot be evaluated is not true, whatever stands around it.
func TestWhatCannotBeEvaluatedDoesNotHold(t *testing.T) {
	for name, expression := range map[string]string{
		"a field that is not there": `attestation.predicate.absent == "x"`,
		"its opposite":              `attestation.predicate.absent != "x"`,
		"a group that is not there": `!("bob" in groups["nobody"])`,
		"a time that is none":       `now > timestamp(attestation.predicate.result)`,
		"a division by nothing":     `1 / size(attestation.predicate.findings) == 0`,
		"types that do not fit":     `attestation.predicate.result > 3`,
		"a bomb":                    `attestation.predicate.list.all(a, attestation.predicate.list.all(b, attestation.predicate.list.all(c, attestation.predicate.list.all(d, a + b + c + d >= 0.0))))`,
		"a bomb of text":            `attestation.predicate.list.all(a, attestation.predicate.list.all(b, (attestation.predicate.long + attestation.predicate.long).matches("(a*)*b") == false))`,
	} {
		c, err := condition.Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Run(name, func(t *testing.T) {
			if got, err := c.Holds(facts(t)); got || !errors.Is(err, condition.ErrEvaluation) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// TestAPatternWithoutAnEndIsNeverTrue: what a pattern may repeat is bounded, and what it may
// run back does not exist. It is found when the document is read, or the rule does not hold.
func TestAPatternWithoutAnEndIsNeverTrue(t *testing.T) {
	for _, pattern := range []string{"((a{100}){100}){100}", "a{100000}", "(", "(?<a>a)\\1", "a*+b", "(?=a)a"} {
		c, err := condition.Compile(`attestation.predicate.long.matches("` + pattern + `")`)
		if err == nil {
			var holds bool
			if holds, err = c.Holds(facts(t)); holds || !errors.Is(err, condition.ErrEvaluation) {
				t.Errorf("%s: %v, %v", pattern, holds, err)
			}
		} else if !errors.Is(err, condition.ErrSyntax) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}

func TestOfNothingNothingIsKnown(t *testing.T) {
	c, err := condition.Compile(`attestation.digest == "" && artifact.name == "" && request.service == "" && size(reviewers) == 0 && size(groups) == 0`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Holds(condition.Facts{}); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzCompile(f *testing.F) {
	shaketest.Add(f, `attestation.predicate.result == "approved"`)
	shaketest.Add(f, `[1, 2].all(a, [a].exists(b, b in [3]))`)
	all := facts(f)
	f.Fuzz(func(t *testing.T, expression string) {
		c, err := condition.Compile(expression)
		if err != nil {
			if !errors.Is(err, condition.ErrSyntax) {
				t.Fatal(err)
			}
			return
		}
		if _, err := c.Holds(all); err != nil && !errors.Is(err, condition.ErrEvaluation) {
			t.Fatal(err)
		}
	})
}

// TestARuleThatCostsTooMuchIsRefusedByItsCost and not by the clock: it is the same on every
// machine, also one that is slow, and at a replay years later.
func TestARuleThatCostsTooMuchIsRefusedByItsCost(t *testing.T) {
	const pairs = `attestation.predicate.list.all(a, attestation.predicate.list.all(b, a + b >= 0.0))`
	c, err := condition.Compile(pairs)
	if err != nil {
		t.Fatal(err)
	}
	// first is how many elements of the list the rule is let look at: by halves.
	var first int
	for range 3 {
		low, high := 0, 300
		for high-low > 1 {
			f, middle := facts(t), (low+high)/2
			f.Attestation.Predicate.Fields["list"] = structpb.NewListValue(must(structpb.NewList(list(middle))))
			switch holds, err := c.Holds(f); {
			case err == nil && holds:
				low = middle
			case errors.Is(err, condition.ErrEvaluation) && strings.Contains(err.Error(), "cost limit exceeded") && !holds:
				high = middle
			default:
				t.Fatalf("of %d: %v, %v", middle, holds, err)
			}
		}
		if first == 0 {
			first = low
		}
		if low != first || low < 10 || low == 299 { // 299: nothing was refused
			t.Fatalf("once it was let look at %d elements, and now at %d: it is to be the same, and fewer than there are", first, low)
		}
	}
}

// TestWhatTakesLongByItselfIsRefusedBeforeItBegins (S22): the library counts what an operation
// costs when it is done, and these would take seconds by then, or all the memory.
func TestWhatTakesLongByItselfIsRefusedBeforeItBegins(t *testing.T) {
	f := facts(t)
	const much = 64 << 10
	f.Attestation.Predicate.Fields["text"] = structpb.NewStringValue(strings.Repeat("x", much))
	f.Attestation.Predicate.Fields["list"] = structpb.NewListValue(must(structpb.NewList(list(30_000))))
	f.Attestation.Predicate.Fields["texts"] = structpb.NewListValue(must(structpb.NewList([]any{strings.Repeat("y", much/2), strings.Repeat("z", much/2)})))
	f.Attestation.Predicate.Fields["pattern"] = structpb.NewStringValue("(" + strings.Repeat("x?", 500) + "){1000}")
	for _, expression := range []string{
		`attestation.predicate.text.matches("(x{1,100}){1,9}y")`,
		`matches(attestation.predicate.text, "(x{1,30}){20,}y")`,
		`attestation.predicate.text.matches("(x+x+)+y|[a-z]*z")`,
		`"x".matches(attestation.predicate.pattern)`,
		`"x".matches(attestation.predicate.text)`,
		`attestation.predicate.text.replace("", attestation.predicate.text) != ""`,
		`attestation.predicate.text.replace("x", attestation.predicate.text, 1000) != ""`,
		`attestation.predicate.text.replace("x", attestation.predicate.text, -1) != ""`,
		`attestation.predicate.texts.join("-") != ""`,
		`attestation.predicate.texts.join(attestation.predicate.text) != ""`,
		`sets.contains(attestation.predicate.list, attestation.predicate.list)`,
		`sets.equivalent(attestation.predicate.list, attestation.predicate.list)`,
		`sets.intersects(attestation.predicate.list, attestation.predicate.list.map(x, x + 0.5))`,
		`attestation.predicate.text.indexOf(attestation.predicate.text.substring(0, 30000)) >= 0`,
		`attestation.predicate.text.lastIndexOf(attestation.predicate.text.substring(0, 30000)) >= 0`,
		`[attestation.predicate.list] == [attestation.predicate.list]`,
		`{"a": attestation.predicate.list}.size() > 0`,
		doublings("[[\"\"]]", "x + x") + `.all(x, x.join() == "")`,
		doublings("[[1]]", "[x, x]") + ` == []`,
		doublings("[[1]]", "[x] + [x]") + ` == []`,
		`[attestation.signer].all(x, attestation.predicate.list.all(y, size(attestation.predicate.text) > 1))`,
		`attestation.predicate.list.all(y, request == request)`,
	} {
		c, err := condition.Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if holds, err := c.Holds(f); holds || !errors.Is(err, condition.ErrEvaluation) {
			t.Errorf("%s: %v, %v", expression, holds, err)
		} else if !strings.Contains(err.Error(), "it would look at too much") && !costly(expression) {
			t.Errorf("%s is evaluated first: %v", expression, err)
		}
	}
	for expression, place := range map[string]string{
		"true &&\n  \"%s\".format([attestation.predicate.text]) != \"\"": "2:", `strings.quote(attestation.predicate.text) != ""`: "1:",
	} {
		if _, err := condition.Compile(expression); !errors.Is(err, condition.ErrSyntax) || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

// doublings is a list that grows twofold 24 times in a few hundred letters.
func doublings(of, step string) string { return of + strings.Repeat(".map(x, "+step+")", 24) }

// costly are expressions that are ended by what they cost in sum, or by the library's count.
func costly(expression string) bool {
	return strings.Contains(expression, "map(") || strings.Contains(expression, "all(y") || strings.Contains(expression, "ndexOf")
}

// TestNothingIsSeenWithoutItsPredicate: an attestation that is handed around whole would have none.
func TestNothingIsSeenWithoutItsPredicate(t *testing.T) {
	for expression, want := range map[string]string{
		`!has(attestation.predicate) || attestation.predicate.result == "nonsense"`: "1:5: an attestation always has a predicate",
		`[attestation].all(a, !has(a.predicate.result))`:                            "1:2: an attestation is used by its fields",
		`dyn(attestation).predicate == {}`:                                          "1:5: an attestation is used by its fields",
		`attestation == attestation`:                                                "an attestation is used by its fields",
		`shipwarden.policy.v1.Attestation{} == attestation`:                         "a condition makes no messages",
		`attestation.signer.id.matches("(work")`:                                    "1:31: error parsing regexp",
		`matches("a", "([a-z][a-z][a-z][a-z][a-z][a-z]){1000}")`:                    "1:14: the pattern is too large",
	} {
		if _, err := condition.Compile(expression); !errors.Is(err, condition.ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", expression, err)
		}
	}
	for _, expression := range []string{`has(attestation.signed) && !has(attestation.predicate.absent)`, `attestation.predicate != {}`, `[attestation.predicate].all(p, p.result == "approved") || true`} {
		c, err := condition.Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if holds, err := c.Holds(facts(t)); err != nil || !holds {
			t.Errorf("%s: %v, %v", expression, holds, err)
		}
	}
}

// TestWhatIsNotThereInManyIsFoundInOne: exists passes over what cannot be evaluated, which costs
// no more than what can.
func TestWhatIsNotThereInManyIsFoundInOne(t *testing.T) {
	f := facts(t)
	items := make([]any, 400)
	for i := range items {
		items[i] = map[string]any{"name": "x"}
	}
	items[399] = map[string]any{"name": "x", "license": "MIT"}
	f.Attestation.Predicate.Fields["items"] = structpb.NewListValue(must(structpb.NewList(items)))
	c, err := condition.Compile(`attestation.predicate.items.exists(i, i.license == "MIT")`)
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := c.Holds(f); err != nil || !holds {
		t.Errorf("%v, %v", holds, err)
	}
}

// TestComparingCostsWhatIsCompared: a list within a list is no single value, and a predicate is
// not copied for each look at it.
func TestComparingCostsWhatIsCompared(t *testing.T) {
	f := facts(t)
	nested := list(3_000)
	f.Attestation.Predicate.Fields["deep"] = structpb.NewListValue(must(structpb.NewList([]any{nested})))
	f.Attestation.Predicate.Fields["map"] = structpb.NewStructValue(must(structpb.NewStruct(map[string]any{"in": nested})))
	for expression, fine := range map[string]bool{
		`attestation.predicate.deep == attestation.predicate.deep`:                                                true,
		`attestation.predicate.map != {} && attestation.predicate.map == attestation.predicate.map`:               true,
		`[1, 2, 3, 4].all(x, attestation.predicate.deep == attestation.predicate.deep)`:                           false,
		`[1, 2, 3, 4].all(x, attestation.predicate.map == attestation.predicate.map)`:                             false,
		`[1, 2, 3, 4, 5, 6, 7, 8].all(x, !(-1.0 in attestation.predicate.deep))`:                                  false,
		`attestation.predicate.list.all(x, x in attestation.predicate.list)`:                                      false,
		`[1.0, 2.0, 3.0].all(x, x in attestation.predicate.list) && attestation.predicate.result in ["approved"]`: true,
	} {
		c, err := condition.Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if holds, err := c.Holds(f); holds != fine || fine && err != nil || !fine && !strings.Contains(err.Error(), "cost limit exceeded") {
			t.Errorf("%s: %v, %v", expression, holds, err)
		}
	}
}

// TestTextsAndListsAreWhatCELSaysTheyAre: what is bounded here gives the answers of the library.
func TestTextsAndListsAreWhatCELSaysTheyAre(t *testing.T) {
	for _, expression := range []string{
		`"abc-12".matches("^[a-z]+-[0-9]{2}$") && !matches("abc", "^b") && "x".matches("")`,
		`"a.b.c".replace(".", "") == "abc" && "aaa".replace("a", "bb", 2) == "bbbba" && "aaa".replace("a", "b", 0) == "aaa" && "ab".replace("", "-") == "-a-b-"`,
		`"aaa".replace("a", "b", -1) == "bbb"`,
		`["a", "b"].join() == "ab" && ["a", "b"].join(", ") == "a, b" && [].join("-") == ""`,
		`sets.contains([1, 2, 3], [3, 1]) && !sets.contains([1], [1, 2]) && sets.contains([1], [])`,
		`sets.equivalent([1, 1, 2], [2, 1]) && !sets.equivalent([1, 2], [1]) && !sets.equivalent([1], [1, 2])`,
		`sets.intersects([1, 2], [2, 3]) && !sets.intersects([1], []) && !sets.intersects([1], [2])`,
		`"abcab".indexOf("b") == 1 && "abcab".indexOf("b", 2) == 4 && "abcab".indexOf("x") == -1 && "abcab".indexOf("") == 0 && "abcab".indexOf("", 9) == 5 && "abcab".indexOf("b", 9) == -1`,
		`"abcab".lastIndexOf("b") == 4 && "abcab".lastIndexOf("b", 3) == 1 && "abcab".lastIndexOf("x") == -1 && "abcab".lastIndexOf("") == 5 && "".lastIndexOf("a") == -1 && "éa".indexOf("a") == 1`,
		`["a", "b"].map(x, x + "!").filter(x, x != "a!") == ["b!"] && [1, 2] + [3] == [1, 2, 3] && attestation.predicate.list.map(x, x + 1.0).size() == 300`,
		`sets.contains(reviewers, ["bob"]) && sets.intersects(reviewers, groups["security"])`,
	} {
		c, err := condition.Compile(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if holds, err := c.Holds(facts(t)); err != nil || !holds {
			t.Errorf("%s: %v, %v", expression, holds, err)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
