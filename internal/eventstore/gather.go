package eventstore

import (
	"context"
	"slices"
	"strings"
	"sync"
)

const (
	// maxGathered bounds the messages of one atomic batch.
	maxGathered = 128
	// maxGatheredBytes bounds their bodies.
	maxGatheredBytes = 1 << 20
	// worthwhile is how many messages make an atomic batch cheaper than one publish
	// for each. The server stages a batch in a store of its own, with files and syncs
	// of their own, which takes it as long as some ten messages that stand alone.
	worthwhile = 8
)

// group is what one Append stores, all or none.
type group struct {
	// ctx is the caller's: the group is brought to its end on its behalf.
	ctx    context.Context
	items  []sealed
	result chan result
	// again is set once the group came back from a batch that was refused.
	again bool
}

type result struct {
	sequences []uint64
	err       error
}

func newGroup(size int) *group {
	return &group{items: make([]sealed, 0, size), result: make(chan result, 1)}
}

func (g *group) names() string {
	names := make([]string, len(g.items))
	for i, item := range g.items {
		names[i] = item.aggregate
	}
	return strings.Join(names, ", ")
}

func (g *group) bytes() int {
	n := 0
	for _, item := range g.items {
		n += len(item.message.Data)
	}
	return n
}

// gatherer publishes one batch at a time, or a few single messages, and gathers what
// arrives meanwhile into the next one. It has a goroutine only while there is something to publish.
type gatherer struct {
	// publish stores the groups, all or none, and returns the sequence of the
	// first message; the others follow it one by one.
	publish func(ctx context.Context, groups ...*group) (uint64, error)
	// settle finds out what became of one group, and brings it to an end alone.
	settle func(g *group, cause error) result
	// inspect finds out what became of one group, and does nothing about it.
	inspect func(ctx context.Context, g *group) (verdict, []uint64, error)

	mu      sync.Mutex // guards what follows
	waiting []*group
	busy    bool
}

// submit waits until the group is stored or refused, or the context ends.
func (q *gatherer) submit(ctx context.Context, g *group) ([]uint64, error) {
	q.enqueue(g)
	select {
	case r := <-g.result:
		return r.sequences, r.err
	case <-ctx.Done():
		q.withdraw(g)
		return nil, ctx.Err()
	}
}

func (q *gatherer) enqueue(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, g)
	if !q.busy {
		q.busy = true
		go q.drain()
	}
}

// withdraw takes the group back if it has not been taken for publishing.
func (q *gatherer) withdraw(g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = slices.DeleteFunc(q.waiting, func(other *group) bool { return other == g })
}

func (q *gatherer) drain() {
	for {
		batch := q.take()
		if len(batch) == 0 {
			return
		}
		q.store(batch)
	}
}

// take returns the groups for the next batch, in the order in which they came. A
// second group of the same aggregate waits: its condition can only be judged once
// the first is stored. Nothing is returned, and the drain ends, when nobody waits.
func (q *gatherer) take() []*group {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.busy = false
		return nil
	}
	var batch, rest []*group
	taken := map[string]bool{}
	count, bytes := 0, 0
	for _, g := range q.waiting {
		fits := len(batch) == 0 || (count+len(g.items) <= maxGathered && bytes+g.bytes() <= maxGatheredBytes)
		if !fits || slices.ContainsFunc(g.items, func(i sealed) bool { return taken[i.aggregate] }) {
			rest = append(rest, g)
			continue
		}
		for _, item := range g.items {
			taken[item.aggregate] = true
		}
		batch = append(batch, g)
		count += len(g.items)
		bytes += g.bytes()
	}
	q.waiting = rest
	return batch
}

// store publishes the batch once; a few single messages side by side, each for
// itself. Where that does not end well, each group is looked at for itself, beside
// the next batch: a conflict, a slow answer or a subject that is not allowed concerns
// nobody but its own group.
func (q *gatherer) store(batch []*group) {
	if !alone(batch) {
		q.publishTogether(batch)
		return
	}
	var wait sync.WaitGroup
	for i := range batch {
		wait.Go(func() { q.publishTogether(batch[i : i+1]) })
	}
	wait.Wait()
}

// alone reports whether the groups are few, and none of them needs a batch.
func alone(batch []*group) bool {
	return len(batch) < worthwhile && !slices.ContainsFunc(batch, func(g *group) bool { return len(g.items) > 1 })
}

func (q *gatherer) publishTogether(batch []*group) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	first, err := q.publish(ctx, batch...)
	for _, g := range batch {
		if err != nil {
			go q.part(g, len(batch) > 1, err)
			continue
		}
		g.result <- result{sequences: consecutive(first, len(g.items))}
		first += uint64(len(g.items))
	}
}

// part separates a group from a batch that did not end well. The group that was
// in the way usually shows at once; the innocent ones are gathered a second time,
// which costs one sync for all of them. After that, each goes alone.
func (q *gatherer) part(g *group, shared bool, cause error) {
	if shared && !g.again {
		found, sequences, err := q.inspect(g.ctx, g)
		switch {
		case err == nil && found == present:
			g.result <- result{sequences: sequences}
			return
		case err == nil && found == overtaken:
			g.result <- result{err: ErrSequenceConflict}
			return
		case err == nil && found == absent:
			g.again = true
			q.enqueue(g)
			return
		}
	}
	g.result <- q.settle(g, cause)
}

func consecutive(first uint64, n int) []uint64 {
	out := make([]uint64, n)
	for i := range out {
		out[i] = first + uint64(i)
	}
	return out
}
