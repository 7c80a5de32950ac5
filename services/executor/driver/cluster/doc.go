// Package cluster is what drivers have in common whose target lies in a namespace of Kubernetes: how
// the server is reached, the record by which executors that meet are told apart, and how an object
// is written so that one who slept cannot write it.
//
// # The record
//
// The ConfigMap shipwarden-<target> holds the newest fence and key, whether it is done, and the names of
// all objects that may have been placed. It is replaced only as whoever replaces it has read it
// (resourceVersion).
//
// # The fence
//
// There is no lock that a process could die with. Everything that is written to an object is on
// condition that the object is as it was when the record was last looked at (uid and
// resourceVersion). Every admitted call writes to every object that anybody before it may have
// placed, with a mark of its own, or deletes it. So what a stale executor writes after that is
// refused by the server: the object is another one by then. Seal waits until nobody has said for a
// while that he is at work, and marks the objects likewise.
//
// What is left is a request that creates an object which the newer change does not have: the next
// change deletes it, because its name is kept.
package cluster
