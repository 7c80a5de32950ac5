package strictjson_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/blackdice/shipwarden/internal/strictjson"
)

func TestOnlyWhatAllReadersAgreeOnIsRead(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       any
	}{
		{"an object", `{"a":[1,true,null,"x"],"A":2.50}`, map[string]any{"a": []any{json.Number("1"), true, nil, "x"}, "A": json.Number("2.50")}},
		{"a number", ` 7 `, json.Number("7")},
		{"a name twice", `{"a":1,"a":2}`, nil},
		{"a name twice, once escaped", `{"a":1,"\u0061":2}`, nil},
		{"a name twice further in", `[{"a":{"b":1,"b":1}}]`, nil},
		{"something that follows", `{} {}`, nil},
		{"cut short", `{"a":[1`, nil},
		{"nothing", ``, nil},
		{"not UTF-8", "\"\xff\"", nil},
		{"NaN", `NaN`, nil},
		{"nested too deep", strings.Repeat("[", 70) + strings.Repeat("]", 70), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := strictjson.Value([]byte(test.text))
			if test.want == nil {
				if !errors.Is(err, strictjson.Err) {
					t.Fatalf("Value = %v, %v, want an error", got, err)
				}
				return
			}
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
	if _, err := strictjson.Object([]byte(`[]`)); !errors.Is(err, strictjson.Err) {
		t.Errorf("a list was taken for an object: %v", err)
	}
}
