// Package proceduretest builds histories of releases for tests: a valid request,
// and a History that appends events as the services do, each naming the one before
// it by sequence and digest, stored by a clock that the test moves.
//
//	h := proceduretest.New(proceduretest.Request())
//	h.To(t, procedure.PhaseApprove)
//	h.Do(t, "anna", proceduretest.Approval(h.State()))
//
// What is appended is kept in Entries even where the fold refuses it, because a
// stream keeps what does not count as well.
package proceduretest
