// Command mutants makes mistakes in a package, one at a time, and demands that its
// tests find each. A mistake that no test finds marks a promise that nothing holds.
//
//	mutants [-only text] [-jobs n] <folder of the package>
//
// The mistakes stand in mutants.txt in that folder:
//
//	mutant an approval counts at the nanosecond of its expiry
//	file authorize.go
//	-		if at.Before(a.Expires) {
//	+		if !at.After(a.Expires) {
//
// Lines that begin with "-" are replaced by those that follow with "+"; there may be
// several such pairs. What is replaced must be in the file exactly once. The tree is
// not touched: the compiler is given the changed file in place of the other (go help
// build, -overlay).
//
// It fails when a mistake survives, when its text is no longer there, and when the
// package does not compile with it, because then no test was asked.
package main
