// Package gitops makes a folder of a Git repository carry the files of an artifact, and waits until
// Argo CD or Flux says that the cluster has that commit and that it is healthy (class FENCED). The
// cluster is never changed by itself: what is in Git is what there is to be, so that no controller
// brings back what a rollback took away.
//
// All that the driver must not forget is a trailer of its commits, Shipwarden-Record: the newest
// fence and key, the digest, a sum over the files, and what was there before. A commit and its
// record are one, and it gets on the branch only where the branch is as it was when the record was
// read; so there is no moment in which one is there without the other. Reverting a commit by hand
// takes no record away, because the record is not in a file.
//
// Apply and Rollback go through the same stages:
//
//	read     the branch as it is, and the newest record on it
//	admit    refuse a stale fence, and what somebody else has changed since
//	push     one commit: the files and the record, or the record alone where the files are there
//	wait     until the resource says that a commit that has ours, with these files, is healthy
//
// That an effect is complete is nowhere written: the resource says so whenever it is asked, and
// until it does, what the target carries is unknown. A crash leaves nothing or the commit; whoever
// repeats the call finds it, and waits.
//
// # The fence
//
// Every admitted call, and every seal, is a commit where it is not on record already, and whoever
// sleeps with the branch as it was before is refused by the server: the branch is another one by
// then. After its commit a call changes nothing but that it may ask the resource to look.
//
// A record names the commit that it was written on, and counts in no copy of its commit: a
// cherry-pick of an older release would let in whoever was kept away since. A process misses the
// newest record that it has read, where the branch was set back behind it.
//
// # Other writers
//
// Whoever pushes to other folders is in nobody's way. A commit of somebody else in the folder is
// shown to those who approve, and replaced with what they saw; what comes afterwards stops the
// release, and its way back, and people decide (*driver.ManualChange).
package gitops
