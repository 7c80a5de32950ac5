package policy_test

import (
	"errors"
	"os"
	"testing"

	"github.com/blackdice/shipwarden/internal/policy"
)

// FuzzParse has documents of any bytes: each is refused as invalid, or one of which an
// index can be made and that is as strict as itself.
func FuzzParse(f *testing.F) {
	f.Add(readExample(f))
	if full, err := os.ReadFile("../../examples/procedure.yaml"); err == nil {
		f.Add(full)
	}
	f.Add([]byte("id: X\nversion: &a [*a]\n"))
	f.Add([]byte("{}"))
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
