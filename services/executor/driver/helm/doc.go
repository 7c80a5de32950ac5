// Package helm makes a release of Helm in a namespace of a cluster carry a chart (class FENCED). The
// chart is the artifact, by its digest; Helm's own library installs, upgrades and rolls back, in this
// process. The chart itself is read and rendered in another one, which can be ended (package apart): Helm
// is given a chart of what that has made.
//
// What it knows of a target is in the namespace: the record and the fence of package cluster, and
// beside it, for the way back, each chart with its values (not the secrets among them). Helm's own
// history is what people look at with its commands, and nothing decides by its words: what was ready is
// what the record says, and a revision is gone back to by the number that the record has.
//
// Apply and Rollback go through the same stages:
//
//	admit    refuse a stale fence, keep the new one
//	try      render the chart, have the server say what it would refuse; nothing has been changed by then
//	begin    keep that a change is pending, and what it may place
//	repair   what a run that was killed left pending in Helm's history is marked as failed
//	run      Helm's install, upgrade or rollback, with its hooks and its wait (kstatus)
//	prune    delete what a killed run placed and Helm does not know of
//	done     the record says so
//
// # The fence
//
// Helm knows no fence. It has a release that is pending for a lock, which a killed process leaves
// behind, and it goes on in the background when its caller has left. So between Helm and the server
// stands the gate: each request that writes is let through only while the call has the target, on
// condition that the object is as it was when the record was looked at, with a mark of the call; and no
// request after the call has ended. Reads of the same objects go on as they are.
//
// # Never
//
// Helm is never told to roll back or to clean up by itself on a failure, to make the namespace, or to
// force a conflict on the way forth. See docs/helm.md for what happens where it would go wrong.
package helm
