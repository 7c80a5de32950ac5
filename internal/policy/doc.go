// Package policy reads the procedure document (PD-9.4), finds things in it, and
// keeps the versions that releases run under.
//
// A document comes into force only after Parse has accepted it: well-formed,
// every field by the rules of its schema, and every name in it leading
// somewhere. A dangling name would not fail; it would quietly mean nobody, or
// nowhere, or never, and a gate, a quorum or a freeze would be gone. Whatever is
// wrong is told at once, each thing with its place in the file and its field.
//
// A release finishes under the version with which it began. Source therefore
// fetches a version by its digest and does not apply today's rules to it: it was
// checked on the day on which it came into force.
//
// An Index finds people, places and gates in one document. Persons are found by
// id or alias, without regard to case, so that one person under two names is one
// person wherever it matters that they are two (PD-A.1).
package policy
