package demo

import (
	"context"
	"slices"
	"testing"
)

// TestTheEndIsToldWithinItsAct: the channel may hear of the end later than the record.
func TestTheEndIsToldWithinItsAct(t *testing.T) {
	s := &story{more: make(chan struct{}, 1)}
	s.hear("Release about to start: shop")
	go s.hear("Release succeeded: shop")
	got, err := s.notices(t.Context(), "Release succeeded")
	if want := []string{"Release about to start: shop", "Release succeeded: shop"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	s.hear("Release about to start: shop")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := s.notices(ctx, "Release succeeded"); err == nil {
		t.Errorf("what was told in the last act counts in this one: %v", got)
	}
}
