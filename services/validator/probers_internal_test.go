package validator

import (
	"maps"
	"slices"
	"testing"

	"github.com/blackdice/shipwarden/internal/criterion"
)

// TestEveryKindOfCheckIsMade: a kind that is accepted in requests and that nobody makes
// would leave every release that asks for it without a verdict.
func TestEveryKindOfCheckIsMade(t *testing.T) {
	if made := slices.Sorted(maps.Keys(probers(nil, nil))); !slices.Equal(made, criterion.Kinds()) {
		t.Errorf("made are %v, of %v", made, criterion.Kinds())
	}
}
