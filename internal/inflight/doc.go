// Package inflight says which releases of other services a release waits for: those of
// services that its own one depends on, and of services that depend on it, which have begun
// and have not let their targets go (PD-3.3). Approval asks at step 3, the executor at the start and
// before every wave, and both ask here, so that they answer alike.
//
// Two that start at once are kept apart by the order of the stream, and by nothing else.
// Each looks before it claims, and again between its claim and its first effect; a claim is
// in the stream before that second look. So of two claims the later one always sees the
// earlier one, gives way and has not begun anything; the earlier one goes on, whatever it
// sees. Because losing a claim costs people a new request, a release that is about to claim
// lets those go first that are about to as well and were asked for earlier, for as long as
// the document rechecks: after that they are not about to, but stuck.
//
// Nobody waits in a circle. What has not claimed anything holds nothing and keeps nobody
// waiting. Of those that have begun, the one that claimed first goes on, and before either an
// emergency or a rollback that takes back what it names; and none of them waits for one that
// waits itself, which is what a circle would be made of. What has claimed and was not begun,
// and is ordered again, waits for all that have begun, as before its first claim, and none of
// those waits for it; of two such the one that claimed first goes on, for as long as the
// document rechecks.
//
// The cost is one read of each neighboring service, and the histories of its releases that
// are not at an end, however many were recorded before.
package inflight
