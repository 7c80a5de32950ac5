package reactor

import "testing"

// What this process put off, and another one finished, is never forgotten by name.
func TestWhatIsRememberedOfMessagesIsBounded(t *testing.T) {
	t.Parallel()
	m := newMet()
	for sequence := range uint64(2 * keepMet) {
		m.meet(sequence)
		m.fail(sequence)
	}
	if n := m.past.Len(); n != keepMet {
		t.Errorf("%d messages are remembered, want %d", n, keepMet)
	}
	if before := m.meet(2*keepMet - 1); before != (past{seen: 1, failed: 1}) {
		t.Errorf("of the newest is known %+v", before)
	}
	m.forget(2*keepMet - 1)
	if before := m.meet(2*keepMet - 1); before != (past{}) {
		t.Errorf("of what is done with is known %+v", before)
	}
}
