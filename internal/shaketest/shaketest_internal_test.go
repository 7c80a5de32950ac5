package shaketest

import (
	"reflect"
	"testing"
)

// TestVariantsAreOtherOnesAndTheSameInEveryRun; what is neither bytes nor text stays as it
// is, and so does the seed.
func TestVariantsAreOtherOnesAndTheSameInEveryRun(t *testing.T) {
	document := `{"version":"1.4.2","plan":{"waves":[{"targets":["eu1"]}]}}`
	seed := []any{7, "key", []byte(document)}
	first, again := vary(seed), vary(seed)
	if len(first) != variants || !reflect.DeepEqual(first, again) {
		t.Fatalf("%d variants, the same again: %v", len(first), reflect.DeepEqual(first, again))
	}
	different := map[string]bool{}
	for _, v := range first {
		text, isText := v[1].(string)
		data, isData := v[2].([]byte)
		if v[0] != 7 || !isText || !isData || text != "key" && string(data) != document {
			t.Errorf("%v", v)
		}
		if len(data) > 16*len(document) {
			t.Errorf("a variant of %d bytes", len(data))
		}
		different[text+"\x00"+string(data)] = true
	}
	if len(different) < variants*3/4 {
		t.Errorf("%d variants differ", len(different))
	}
	if b, _ := seed[2].([]byte); string(b) != document {
		t.Error("the seed was damaged itself")
	}
	if reflect.DeepEqual(vary([]any{7, "key", []byte(document + " ")})[0], first[0]) {
		t.Error("another seed is damaged in the same way")
	}
	if got := vary([]any{7, true}); got != nil {
		t.Errorf("%v", got)
	}
	for _, v := range vary([]any{"", []byte(nil)}) {
		_ = v // An empty one has variants as well, and breaks nothing.
	}
}
