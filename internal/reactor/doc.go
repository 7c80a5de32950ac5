// Package reactor runs one step of the procedure as one durable consumer.
//
// A message only wakes the step. What is to be done is read from the history:
//
//	message ─ authentic? ─ load, fold ─ due? ─no──────────── ack
//	             │no            ▲         │yes
//	             ▼              │         ▼
//	       park, terminate      │        act ── no drafts ── ack
//	                            │         │drafts
//	                            └──────append (stored, or somebody was faster)
//
// So a message may arrive twice, late, out of order, or in two processes at once:
// the fold says what is still due. A message is acknowledged only when nothing is
// due, which is after everything that it led to has been stored; acknowledgments
// themselves may be lost, and that is harmless for the same reason.
//
// The loop around append is what lets a step do first things first: the executor
// appends its claim, finds itself due again by a history that shows the claim as
// its own, and only then touches a target.
//
// What can not be worked on is never dropped in silence. A message that is not an
// authentic event is parked: a note with its place, digest and reason goes to the
// stream PARKED, and the original stays where it is. A message whose handling
// fails is put off, longer each time; after some failures in one process a note is
// left for people, and the attempts go on. Of a message that seems to end whoever takes
// it the note is left before the attempt.
package reactor
