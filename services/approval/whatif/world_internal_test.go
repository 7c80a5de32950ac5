package whatif

import (
	"context"
	"errors"
	"testing"
)

// TestQuestionsTakeTurns: of many at once only some ask others, and who gives up is not kept.
func TestQuestionsTakeTurns(t *testing.T) {
	d := New(nil, nil, nil, World{})
	var leave func()
	for range atOnce {
		var err error
		if leave, err = d.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.enter(over); !errors.Is(err, context.Canceled) {
		t.Errorf("one more than may: %v", err)
	}
	leave()
	if _, err := d.enter(t.Context()); err != nil {
		t.Errorf("when one has left: %v", err)
	}
}
