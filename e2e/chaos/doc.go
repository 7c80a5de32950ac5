// Package chaos carries releases through Shipwarden while everything in it is
// killed, stopped and lied to, and judges afterwards whether the promises held.
//
// Everything is real: the four services are processes of their own, two of each,
// built with the tag "failpoints"; the NATS server and PostgreSQL are processes that
// are killed with SIGKILL and started again on what they left on disk. People
// approve, reject, decide and review over gRPC. A hostile part of the bus stores
// copies of old events, forged ones and timers that fire early.
//
// When the last release has ended, or the time is up, the faults stop, and a judge
// that knows nothing of the run reads the stream, the database, the ledgers of the
// targets and what clients were told, and counts what must never be:
//
//	lost        requests of which nothing became, or that were never answered, and
//	            whatever somebody was told is done and was not stored
//	double      effects that a target had twice, targets that two releases held
//	unapproved  effects without valid approvals of exactly that change before them
//	early       effects and deadlines before their time or after it
//	stuck       releases that did not come to their end
//	gap         messages that are in the stream and not in the database, or differ
//
// docs/chaos.md says how to run it and how to read what it prints.
package chaos
