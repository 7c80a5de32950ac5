package criterion

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzQuery has queries of any bytes: of one that is not refused nothing is changed but what
// stands within quotes, and these stay where they are.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		`up{job="{target}"}`, "a{b=`{digest}`} / on(x) c{d='{service}\\''}", `sum(rate(x{a=~"[(]{2,3}"}[1m])) by (a)`, `{target}`, `"`, `#`,
		"a{b=\"\\{target}\"}", `a{b="{{service}}",c="{ta{service}}"}`,
	} {
		shaketest.Add(f, seed)
	}
	values := map[string]string{"target": "eu1", "service": "target", "environment": "production", "digest": "sha256:0"}
	f.Fuzz(func(t *testing.T, query string) {
		if readable(query) != nil {
			return
		}
		filled, err := fill(query, values)
		if err != nil {
			t.Fatalf("%q is refused when it is filled: %v", query, err)
		}
		before, _ := pieces(query)
		after, err := pieces(filled)
		if err != nil || len(before) != len(after) {
			t.Fatalf("%q became %q: %v", query, filled, err)
		}
		for i := range before {
			if before[i].quote != after[i].quote || before[i].quote == 0 && before[i].text != after[i].text {
				t.Errorf("%q became %q", query, filled)
			}
		}
		if isSelector(query) != isSelector(filled) {
			t.Errorf("%q and %q: only one of them is a selector", query, filled)
		}
	})
}
