// Package criterion says in words what a check of step 6 looks at and what it expects
// there (PD-6.1): people approve by these words, the record repeats them, and the evidence
// of a bake holds them, so that all of them say the same. It also says what is wrong with a
// check that a schema cannot say, and puts the names of what is looked at in place of the
// placeholders of a query.
//
// It is one table with a row for each kind of check. How a sample of it is taken is in a
// package of the validator's of the same name.
package criterion
