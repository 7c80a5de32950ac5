// Package reconcile finds what was changed on a target without a release, and puts it on
// record, so that the record is all that happened to production and not all that was meant to
// (N-08).
//
// Every interval each target is asked what it carries, and what on it is not as the newest
// change left it. That is held to the release that the record says was left there; where they
// differ, unrecorded_change goes into that release's history, which calls people by the
// ladder of its procedure document, is an open incident until somebody takes it on, and stands
// in the record of the release. Nothing is changed back: what was done by hand may be what
// keeps production alive.
//
// A target that a release holds is left alone, and so is an answer that was given while a
// release took or left the target. The same change is told once, however many executors look
// and however often one of them is started; when it is undone that is told, too. A look costs
// two reads of the target's newest event and one of a history that is kept in memory, however
// many releases there were.
//
// What a target carries to which nothing was ever released is nothing to hold it to.
package reconcile
