// Package natsserver runs a NATS server with JetStream inside this process.
//
// It is the bus of the one-process mode and of the tests; a cluster runs the
// nats-server program itself. Both speak the same wire, so nothing above this
// package knows which one it talks to.
//
// The one setting that must not be lost is SyncAlways. With JetStream's default
// of a flush every two minutes, a power cut takes back publishes that were
// acknowledged, and the server then gives the same stream sequences to other
// events. With SyncAlways every acknowledged publish has reached the disk.
//
// The store directory is locked while the server runs: two servers on one store
// would corrupt it.
package natsserver
