package eventstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/blackdice/shipwarden/procedure"
)

func use(t *testing.T, c *cache, aggregate string) {
	t.Helper()
	h, err := c.take(t.Context(), aggregate)
	if err != nil {
		t.Fatal(err)
	}
	h.entries = append(h.entries, procedure.Entry{})
	c.give(h)
}

func TestAHistoryThatNobodyAsksForIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache(100)
		emptied := 0
		c.emptied = func() { emptied++ }
		after := func(d time.Duration) int {
			time.Sleep(d) //nolint:forbidigo // On synctest's clock.
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.order.Len()
		}
		use(t, c, "rel.a")
		use(t, c, "rel.b")
		if n := after(cacheIdle / 2); n != 2 {
			t.Errorf("%d histories are kept, want both", n)
		}
		use(t, c, "rel.b")
		if n := after(cacheIdle/2 + 2*time.Second); n != 1 {
			t.Errorf("%d histories are kept, want the one that was asked for", n)
		}
		if n := after(cacheIdle); n != 0 || c.size != 0 || emptied != 1 {
			t.Errorf("%d histories of %d events are kept, emptied %d times", n, c.size, emptied)
		}
		use(t, c, "rel.a")
		if h := c.peek("rel.a"); h == nil || len(h.entries) != 1 {
			t.Errorf("kept anew is %v, want one event", h)
		} else {
			c.give(h)
		}
		if n := after(2 * cacheIdle); n != 0 || emptied != 2 {
			t.Errorf("%d histories are kept, emptied %d times", n, emptied)
		}
	})
}
