// Package queue says which releases go before another one that wants the same target (PD-3.3,
// PD-5.2). The executor asks right before it claims the first wave of a release.
//
// The order is that of the stream, so that every executor sees the same. First go a release
// that has begun, since half of it is in production, emergencies, and rollbacks that take back
// what they name: these wait for nobody here. Then goes what was asked for first. It is an
// order of those that may start. What still waits for a person, for a freeze or
// for another service takes no target now, and keeps none from being taken.
//
// Nobody keeps a place that it does not use. One that may start has as long as the document
// rechecks, from when it may; one that waits for nothing but its targets until its next look,
// and as long again. It has its place only while it could go on: every target of its wave is
// free, and as it was when it was looked at. So whoever comes later waits for nothing that
// waits itself, and for a number of releases that only becomes smaller: whoever asks later
// comes later.
//
// It is an order and no lock. Two that claim at the same moment, each after it looked, are
// kept apart by the claim, which takes the targets with it or is not stored.
package queue
