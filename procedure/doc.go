// Package procedure is PROC-DEPLOY-001 as a pure state machine.
//
// A release is the history of its events, and nothing else. [Evolve] folds that
// history into a [State], one event at a time; every process that folds the same
// history comes to the same state, so nobody has to ask anybody. [Due] says
// whether a step has something to do, the step's shell goes and gets the facts,
// and the step's Decide function turns facts into the next event. The shell
// appends it only if nobody wrote in between, and the event wakes the next step.
//
//	                    requested
//	                        │
//	1 gates ────────────────┤ refused ─────────────────────────┐
//	2 scope ────────────────┤ refused ─────────────────────────┤
//	3 preview, risk ───┬────┤ refused ─────────────────────────┤
//	             held ◄┘    │                                  │
//	A approve ──────────────┤ rejected, withdrawn, superseded, │
//	                        │ expired ─────────────────────────┤
//	4 notify ───────────────┤                                  │
//	5 execute ◄─────────────┤ next wave                        │
//	    │ failed, aborted   │                                  │
//	    │        ┌──────────┘                                  │
//	    │        ▼                                             │
//	    │    6 verify ── passed, last wave ──► release targets ┤
//	    │        │ failed                          ▲   ▲       │
//	    ▼        ▼                                 │   │       │
//	7 roll back ───► verify the way back ── passed ┘   │       │
//	    │ failed, unavailable, unknown                 │       │
//	    ▼                                              │       ▼
//	 escalated ── a person: retry, roll back, accept ──┘   8 record
//	                                                           │
//	                   follow-up: notices, acknowledgements, review
//	                                                           │
//	                                                        closed
//
// # What holds in every history
//
// An event that may not happen is an error of Evolve and changes nothing: the fold
// decides, and not the bus, the sender or a lock. In particular:
//
//   - Nothing is executed without a valid approval of exactly the change digest
//     that is executed (PD-5.1), by people who did not ask for, own or write the
//     change (PD-A.1).
//   - After a rejection, an expiry, a withdrawal or a supersession nothing is
//     executed.
//   - No data is not a pass (PD-6.3).
//   - Every phase that is not the end has a deadline, and an end is reachable from
//     every phase (N-10).
//   - A duplicate, a stale and a reordered event change nothing: each event names
//     the one before it.
//
// # What this package must not know
//
// No clock, network, database, file, goroutine or logger: time comes in as a
// value, and everything comes out as one. A test holds it to that. Deadlines are
// judged by the time at which the server stored an event, because a process that
// was asleep carries an old time with it.
package procedure
