// Package ledger keeps what was on the bus in PostgreSQL: every message of the
// stream REL in an append-only table, and beside it the projections that queries
// need, computed by folding the events with package procedure.
//
// # One transaction
//
// A batch of messages is one transaction: the checkpoint is moved if and only if
// it still is where the batch begins, the messages are added, and each release
// that was touched is written once. Whatever kills the recorder, the database or
// the connection in between leaves all of it or nothing, so a recorder that
// starts again goes on exactly where the record ends, and of two recorders one
// loses without harm.
//
// A batch is decided on (Prepare) while the one before it is written (Commit). What it
// is decided on are histories in memory, of which those of the batch before are never
// dropped until it is on record; where that fails, both are forgotten.
//
//	checkpoint  n ──── compare and set ───▶ n+k
//	events         + n+1 … n+k, with the reason where one does not count
//	releases …     each touched release, from the fold of all of its events
//
// # Why it can be rebuilt
//
// A projection depends on the events alone, and neither on the clock nor on where
// a batch began. It is folded from the events table with the batch's own events,
// never from a message by itself; folded states are kept in memory only between
// batches that follow one another (PD-8.1).
//
// A Ledger writes and is used by one goroutine, but for the two halves of a write. A Reader reads with the rights of
// another role and may be used by any number.
package ledger
