// Package approvaltest gives the tests of the approval service a bus with all of its
// streams, a procedure document in effect, and releases in any phase.
//
// Nothing in it stands in for anything: histories are signed and stored as the four
// services store them, and read back by the same stores. People are those of package
// proceduretest. The clock of the stream is the server's, so that tests move only the
// time that a step is told.
package approvaltest
