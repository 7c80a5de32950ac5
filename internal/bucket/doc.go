// Package bucket reads and writes one entry of a JetStream key-value bucket that need not be
// on Shipwarden's own bus.
//
// An entry is read from the leader of its bucket, never from a replica that may lag, and
// written by compare-and-set: what somebody else wrote since it was read refuses the write.
// Headers of an entry are kept beside its value in the same message, so that both change at
// once; whoever reads the bucket by any client gets the plain value.
//
// A user of it needs few rights, and no consumer: to read, publish to
// $JS.API.STREAM.MSG.GET.KV_<bucket>; for the limits, $JS.API.STREAM.INFO.KV_<bucket>; to
// write, $KV.<bucket>.<key>; and subscribe to its inbox.
package bucket
