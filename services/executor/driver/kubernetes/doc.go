// Package kubernetes makes a namespace of a cluster carry the objects of an artifact (class
// FENCED). An artifact is one file of manifests, or a tar.gz of them; what it holds lies in
// the namespace of the target, and is no Secret: secrets belong into no artifact.
//
// All that it knows of a target lies in the namespace, as objects of kind ConfigMap:
//
//	shipwarden-<target>           the newest fence and key, whether it is done, and the names
//	                              of all objects that may have been placed
//	shipwarden-<target>-<digest>  what was placed, so that it can be placed again
//
// Apply and Rollback go through the same stages:
//
//	admit    refuse a stale fence, keep the new one
//	try      have the server say what it would refuse; nothing has been changed by then
//	begin    keep that a change is pending, and what it may place
//	place    apply each object by its server, as the manager "shipwarden" and never by force
//	wait     until each is ready, by the rules of kstatus
//	prune    delete what was placed before and is not wanted any more
//	done     the record says so
//
// A crash leaves the record without its done; a repetition with the same key, a later attempt
// or a newer release goes through the stages again, and what was done changes nothing.
//
// # The fence
//
// There is no lock that a process could die with. The record is replaced only as whoever
// replaces it has read it (resourceVersion), and everything that is written to an object is
// on condition that the object is as it was when the record was last looked at (uid and
// resourceVersion). Every admitted call writes to every object that anybody before it may
// have placed, with a mark of its own, or deletes it. So what a stale executor writes after
// that is refused by the server: the object is another one by then. Seal waits until nobody
// has said for a while that he is at work, and marks the objects likewise. One gap is left. A
// stale executor that sleeps between its look at the record and the request by which it
// creates an object that the newer release does not have leaves that object behind. Its name
// is kept, and the next change deletes it.
//
// # Other writers
//
// A field that somebody else owns with another value is a conflict: nothing is changed, and
// people decide (driver.ErrConflict). The number of replicas that an autoscaler has set is
// none: it is left out of what is applied, and so neither changed nor shown as a difference.
package kubernetes
