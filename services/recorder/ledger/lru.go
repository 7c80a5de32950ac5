package ledger

import "container/list"

// lru keeps the values that were used last. What a batch used that is not on record
// yet is kept in any case: it can not be read from the database. It is not safe for
// concurrent use.
type lru[V any] struct {
	limit int
	// now marks what is used: the last message of the batch that is in work.
	now   uint64
	order *list.List // of *item[V], the newest in front
	items map[string]*list.Element
}

type item[V any] struct {
	key   string
	value V
	used  uint64
}

func newLRU[V any](limit int) *lru[V] {
	return &lru[V]{limit: limit, order: list.New(), items: map[string]*list.Element{}}
}

func (c *lru[V]) get(key string) (V, bool) {
	e, ok := c.items[key]
	if !ok {
		var none V
		return none, false
	}
	i := of[V](e)
	i.used = c.now
	c.order.MoveToFront(e)
	return i.value, true
}

func (c *lru[V]) put(key string, value V) {
	if e, ok := c.items[key]; ok {
		i := of[V](e)
		i.value, i.used = value, c.now
		c.order.MoveToFront(e)
		return
	}
	c.items[key] = c.order.PushFront(&item[V]{key, value, c.now})
}

// trim drops what was not used for longest, down to the limit, where it was used
// up to that message only.
func (c *lru[V]) trim(recorded uint64) {
	for c.order.Len() > c.limit {
		oldest := c.order.Back()
		if of[V](oldest).used > recorded {
			return
		}
		delete(c.items, of[V](oldest).key)
		c.order.Remove(oldest)
	}
}

// drop drops a value that was used up to that message only.
func (c *lru[V]) drop(key string, recorded uint64) {
	if e, ok := c.items[key]; ok && of[V](e).used <= recorded {
		c.order.Remove(e)
		delete(c.items, key)
	}
}

func of[V any](e *list.Element) *item[V] {
	return e.Value.(*item[V]) //nolint:errcheck // Only items are in the list.
}
