// Package service is what every Shipwarden service does besides its own work:
// read a strict configuration, log, tell its health and metrics, reach the bus,
// serve gRPC, and stop in order.
//
// A service's main function is one call of Main. Its run function typically
// makes a Health, a metrics registry, a NATS connection and its steps, adds each
// of them to a Group in the order in which they depend on one another, and runs
// the group. The parts stop in the opposite order: what takes in work first,
// what the rest depends on last, the health answers at the very end.
//
// Secrets come from files only, and only from files that not everyone on the
// machine can read; see ReadSecret.
package service
