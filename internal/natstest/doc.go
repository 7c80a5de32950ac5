// Package natstest gives tests a real NATS server, or a real cluster of three.
//
// The servers are the product's own embedded ones, on loopback ports and stores
// of the test's temporary directory; nothing is faked. Each runs a test body
// against both shapes, because JetStream answers some requests differently with
// one replica and with three, and a protocol that was seen to work on one only
// has not been seen to work.
//
// Stopping a server here is a shutdown in order. What a kill -9 or a power cut
// does to the store is the business of tests that run the servers as processes.
package natstest
