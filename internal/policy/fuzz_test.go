package policy_test

import (
	"errors"
	"os"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzParse has documents of any bytes: each is refused as invalid, or one of which an
// index can be made and that is as strict as itself.
func FuzzParse(f *testing.F) {
	shaketest.Add(f, readExample(f))
	if full, err := os.ReadFile("../../examples/procedure.yaml"); err == nil {
		shaketest.Add(f, full)
	}
	shaketest.Add(f, []byte("id: X\nversion: &a [*a]\n"))
	shaketest.Add(f, []byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		document, err := policy.Parse(data, "document")
		if err != nil {
			if !errors.Is(err, policy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		if loosened := policy.Loosened(document, document); len(loosened) > 0 {
			t.Errorf("it is looser than itself: %q", loosened)
		}
		policy.Widened(policy.NewIndex(document), policy.NewIndex(document))
	})
}
