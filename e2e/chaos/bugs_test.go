package chaos

import "testing"

// A bug whose place is gone would not be one.
func TestBugsCanBeBuiltIn(t *testing.T) {
	names := map[string]bool{}
	for _, b := range bugs {
		if names[b.name] {
			t.Errorf("%s: its name is there twice", b.name)
		}
		names[b.name] = true
		if _, err := b.overlay("../..", t.TempDir()); err != nil {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}
