// Package eventstore keeps the events of releases in the stream REL, and is the
// only place that knows how.
//
// A history is read from the stream's leader, never from a follower, which may
// lag. It is written with a condition: the writer says which message of the
// aggregate it saw last, and the server stores the event only if that still is
// the last one. The condition names a filter, and the server keeps writers apart
// by the very text of that filter: two writers with two texts for one aggregate
// would both win. So exactly one function builds it, Filter, and a test of this
// package finds any other use of conditions in the repository.
//
// An answer to a publish may be lost, and the server then says "wrong sequence"
// or "duplicate" to the repetition, depending on the number of replicas. Append
// therefore believes no refusal: it reads the aggregate again and looks for its
// own event. Found: it is stored. Somebody else's event found: ErrSequenceConflict.
// Nothing found: it sends the same bytes once more. Sending the same bytes twice
// is harmless, because both carry the same condition.
//
//	Append ─┬─ waits while a publish is under way ─┐
//	Append ─┤                                      ├─ one atomic batch ── stored
//	Append ─┘                                      │
//	                    each one settled for itself ── refused, or no answer
//
// With every write synced to disk, a stream is bound by syncs and not by
// messages. Appends that arrive while one is under way are therefore gathered
// into one atomic batch, each message with the condition of its own aggregate.
// An idle store publishes at once: nothing is delayed to wait for company.
// A few appends are published side by side and not as a batch: a server without
// replicas stages each batch in files of its own, which costs as much as some ten
// messages.
//
// The streams themselves are code as well: Topology says what must be there,
// Provision makes it so or says which setting differs.
package eventstore
