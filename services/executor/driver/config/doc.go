// Package config places a configuration document as the value of one key of a JetStream
// bucket, or as one file of a Git repository (class FENCED). All that must not be forgotten lies
// in the same entry, or in the same commit:
//
//	value     the document, byte for byte: what any reader of the bucket gets
//	header    Shipwarden-Target: the newest fence and key, what was sealed, what was placed
//	history   what was there before: the way back
//
// In a repository the note is a trailer of the commit, Shipwarden-Record, and the push is the
// compare-and-set (package gitrepo); what follows holds for both.
//
// Because value and header are one message, a document and its fence change at once or not at
// all, and there is nothing half done. Every write is a compare-and-set on the revision that
// was read and judged:
//
//	read      the newest revision, from the bucket's leader
//	judge     refuse a stale fence, a superseded or sealed key, a change by hand
//	check     size, form and schema of the document; every byte against its digest
//	write     if nobody wrote since; otherwise from the beginning
//	look      that what is there now is the document
//
// An executor that sleeps anywhere in between finds another revision when it wakes: a newer
// release, a rollback and a seal each write one. A seal writes the same value with another
// header, so that watchers of the bucket may see a document twice.
//
// An answer that was lost is found out by reading: a write has a name of its own. Where it is
// not there, the same write is sent again, and of the two one is stored at most. Only where
// nobody answers until the end is the outcome unknown.
//
// What somebody wrote by hand has another digest than was placed. It is neither overwritten
// nor taken back unless it is what people saw in the preview. The fence outlives it, because
// it is looked for in the history. Who purges the key, or writes it by hand as often as the
// bucket keeps revisions, takes the fence away; then nobody is let in until a person has
// written the document with an empty one.
package config
