// Package gitrepo reads one branch of a Git repository on a server, and commits to it.
//
// A commit is signed, has the parent that was read and judged, and is pushed without force: the
// request names the commit that the branch is at, and the server, which looks again while it has
// the branch locked, refuses it where that is another one by then. So a push is a compare-and-set, whoever
// else pushes. What was refused is read and judged again by the caller.
//
//	Head      the branch as it is now: its files, its history
//	Write     files of one commit, on the head that was read
//
// Everything lies in memory, and nothing on a disk: no work tree, no configuration, no hook and
// no filter of a repository has any effect here, and no program is run. The objects and the form
// of the protocol are go-git's; the conversations with servers are our own, so that an address is
// judged when it is connected to (package outward), no redirect and no proxy gets a password, and
// everything that a server sends is bounded before it is unpacked.
//
// History is fetched as it is needed: the newest commits at first, older ones when somebody looks
// for something that is not in them. A repository that has more than is configured, in bytes or in
// commits, is refused, and nothing is decided by a part of it.
//
// SHA-1 is the hash of the objects, with detection of collisions; repositories with SHA-256 are
// refused.
package gitrepo
