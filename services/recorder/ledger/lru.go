package ledger

import "container/list"

// lru keeps the values that were used last. It is not safe for concurrent use.
type lru[V any] struct {
	limit int
	order *list.List // of item[V], the newest in front
	items map[string]*list.Element
}

type item[V any] struct {
	key   string
	value V
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
	c.order.MoveToFront(e)
	return e.Value.(item[V]).value, true //nolint:errcheck // Only items are in the list.
}

func (c *lru[V]) put(key string, value V) {
	if e, ok := c.items[key]; ok {
		e.Value = item[V]{key, value}
		c.order.MoveToFront(e)
		return
	}
	c.items[key] = c.order.PushFront(item[V]{key, value})
	for c.order.Len() > c.limit {
		oldest := c.order.Back()
		delete(c.items, c.order.Remove(oldest).(item[V]).key) //nolint:errcheck // Only items are in the list.
	}
}

func (c *lru[V]) drop(key string) {
	if e, ok := c.items[key]; ok {
		c.order.Remove(e)
		delete(c.items, key)
	}
}
