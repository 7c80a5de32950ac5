package reactor

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// keepMet bounds how many messages are remembered that this process is not done with.
// Those that another process finished stay among them until newer ones push them out;
// of what is pushed out too early the count begins again.
const keepMet = 4096

// past is how often this process had a message in hand, and how often it failed on it.
// The server counts deliveries alone, to all processes, and those that were merely put
// off as well.
type past struct{ seen, failed int }

// met is what this process went through with the messages of a durable, by their
// sequences. It may be used by several goroutines.
type met struct {
	mu   sync.Mutex
	past *lru.Cache[uint64, past]
}

func newMet() *met {
	cache, _ := lru.New[uint64, past](keepMet) // Only a size below one is refused.
	return &met{past: cache}
}

// meet counts a delivery and returns what there was before it.
func (m *met) meet(sequence uint64) past {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, _ := m.past.Get(sequence)
	m.past.Add(sequence, past{seen: before.seen + 1, failed: before.failed})
	return before
}

// fail counts a failure. What other processes failed on, or this one before it was
// started again, they count themselves.
func (m *met) fail(sequence uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, _ := m.past.Get(sequence)
	now.failed++
	m.past.Add(sequence, now)
}

func (m *met) forget(sequence uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.past.Remove(sequence)
}
