package predicate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/blackdice/shipwarden/internal/attest/predicate"
	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzCheck checks predicates of strangers. Whatever they are, they are refused as invalid
// or have what the schema demands: read by hand, and not by the schema.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{review, change, waiver} {
		for _, predicateType := range []string{predicate.CodeReview, predicate.ChangeRecord, predicate.Waiver, "https://elsewhere.example/v1"} {
			shaketest.Add(f, predicateType, []byte(text))
		}
	}
	for _, name := range predicate.Names() {
		predicateType, _ := predicate.Type(name)
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "predicates", name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		shaketest.Add(f, predicateType, data)
	}
	shaketest.Add(f, predicate.Waiver, []byte(`{"gate":"tests","gate":""}`))
	shaketest.Add(f, predicate.CodeReview, []byte(`{"authors":[1e999,null,[[[[]]]]]}`))
	shaketest.Add(f, "", []byte(`null`))
	f.Fuzz(func(t *testing.T, predicateType string, data []byte) {
		err := predicate.Check(predicateType, data)
		if err != nil {
			if !errors.Is(err, predicate.ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		object := map[string]any{}
		numbers := json.NewDecoder(bytes.NewReader(data))
		numbers.UseNumber() // One may be larger than any that is reckoned with.
		if err := numbers.Decode(&object); err != nil || object == nil {
			t.Fatalf("%q is taken: %v", data, err)
		}
		demanded, times := []string(nil), []string(nil)
		switch predicateType {
		case predicate.CodeReview:
			demanded, times = []string{"result"}, []string{"timestamp"}
		case predicate.ChangeRecord:
			demanded, times = []string{"system", "id", "state"}, []string{"timestamp"}
		case predicate.Waiver:
			demanded, times = []string{"gate", "environment", "owner", "reason"}, []string{"issued", "expires"}
		case "https://in-toto.io/attestation/test-result/v0.1":
			demanded = []string{"result"}
		case "https://in-toto.io/attestation/svr/v0.1":
			times = []string{"timeCreated"}
		case "https://slsa.dev/verification_summary/v1":
			demanded = []string{"verificationResult", "resourceUri"}
		}
		for _, field := range demanded {
			if text, ok := object[field].(string); !ok || text == "" {
				t.Errorf("%q is taken: its %s is %v", data, field, object[field])
			}
		}
		for _, field := range times {
			if text, ok := object[field].(string); !ok || len(text) < len(time.DateOnly) {
				t.Errorf("%q is taken: its %s is %v", data, field, object[field])
			}
		}
	})
}
