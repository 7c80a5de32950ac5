package eventstore

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/procedure"
)

// cacheIdle is how long a history is kept that nobody asks for. A release that waits
// for people is read again when they have decided, and costs nothing until then.
const cacheIdle = 20 * time.Second

// cache keeps the histories that were used last. What the stream holds never
// changes, so a kept history can only be too short, and reading goes on where it
// ends.
type cache struct {
	limit int
	// emptied is called when nothing is kept any more, because nobody asked for it.
	emptied func()

	mu    sync.Mutex // guards what follows
	size  int
	order *list.List // of *history, used last in front
	items map[string]*list.Element
	// sweeping says that sweep is going to be called.
	sweeping bool
}

// history is what is known of one aggregate. The turn is held while it is read
// on; the slices are only ever appended to, so that readers may keep theirs.
type history struct {
	aggregate string
	turn      chan struct{}
	entries   []procedure.Entry
	invalid   []Invalid
	last      uint64
	state     procedure.State // of the first folded entries
	folded    int
	counted   int       // as far as cache.size knows; guarded by cache.mu
	used      time.Time // guarded by cache.mu
}

func newCache(limit int) *cache {
	return &cache{limit: max(limit, 1), order: list.New(), items: map[string]*list.Element{}}
}

// take returns the aggregate's history for the caller alone, until give.
func (c *cache) take(ctx context.Context, aggregate string) (*history, error) {
	h := c.lookup(aggregate)
	select {
	case h.turn <- struct{}{}:
		return h, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *cache) lookup(aggregate string) *history {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[aggregate]; ok {
		h := e.Value.(*history) //nolint:errcheck // The list holds nothing else.
		h.used = time.Now()
		c.order.MoveToFront(e)
		return h
	}
	h := &history{aggregate: aggregate, turn: make(chan struct{}, 1), used: time.Now()}
	c.items[aggregate] = c.order.PushFront(h)
	if !c.sweeping {
		c.sweeping = true
		time.AfterFunc(cacheIdle, c.sweep)
	}
	return h
}

// peek is take for a history that is kept and that nobody has; otherwise nil.
func (c *cache) peek(aggregate string) *history {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[aggregate]
	if !ok {
		return nil
	}
	h := e.Value.(*history) //nolint:errcheck // The list holds nothing else.
	select {
	case h.turn <- struct{}{}:
		h.used = time.Now()
		c.order.MoveToFront(e)
		return h
	default:
		return nil
	}
}

// give ends the caller's turn and drops the histories used longest ago, as many
// as are too many.
func (c *cache) give(h *history) {
	grown := len(h.entries) + len(h.invalid)
	<-h.turn
	c.mu.Lock()
	defer c.mu.Unlock()
	e, kept := c.items[h.aggregate]
	if !kept || e.Value != any(h) {
		return
	}
	c.size += grown - h.counted
	h.counted = grown
	// Empty histories count as one, so that names alone do not fill the memory.
	for c.size+c.order.Len() > c.limit && c.order.Len() > 1 {
		c.drop(c.order.Back())
	}
}

// sweep drops the histories that nobody has asked for in a while, and comes again as
// long as there are others.
func (c *cache) sweep() {
	if c.dropIdle() && c.emptied != nil {
		c.emptied()
	}
}

// dropIdle reports whether nothing is left.
func (c *cache) dropIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Back(); e != nil; e = c.order.Back() {
		rest := cacheIdle - time.Since(e.Value.(*history).used) //nolint:errcheck // The list holds nothing else.
		if rest > 0 {
			time.AfterFunc(max(rest, time.Second), c.sweep) // Many at a time, under load.
			return false
		}
		c.drop(e)
	}
	c.sweeping = false
	return true
}

// forget drops what is known of the aggregate.
func (c *cache) forget(aggregate string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[aggregate]; ok {
		c.drop(e)
	}
}

func (c *cache) drop(e *list.Element) {
	h := e.Value.(*history) //nolint:errcheck // The list holds nothing else.
	c.order.Remove(e)
	delete(c.items, h.aggregate)
	c.size -= h.counted
}
