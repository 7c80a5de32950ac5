// Package check decides whether a deployment is good (PROC-DEPLOY-001, step 6).
//
// A check is repeated on every target over the bake time. Every repetition is a
// sample, and a sample passed, failed, or is an error: the target could not be asked.
// From its samples alone Judge derives the verdict of one check on one target, and
// Overall the verdict of all of them; both are pure.
//
//	                    consecutive failures >= max?           -> FAIL
//	                    answers (passed + failed) < min?       -> INCONCLUSIVE
//	samples of a check  ratio missed even if errors passed?    -> FAIL
//	                    ratio met even if errors failed?       -> PASS
//	                    otherwise                              -> INCONCLUSIVE
//
// No data is never a pass (PD-6.3): errors can only take a pass away. Beside the
// requested checks every target is asked which artifact it runs, at the beginning and
// at the end; the rule "target.digest" passes only when both times it was the
// approved one (PD-6.1). A result that would be a pass counts as inconclusive when
// the bake did not last to its end.
//
// Bake takes the samples, at fixed times from the start of the window, so that a
// process that takes over from another one goes on at the times that are left and
// takes none twice. Where less than half of them are left, for it or because a target was slow to
// say what it runs, too little would carry the verdict, and the window begins anew.
//
// How a kind of check takes one sample is in a package of its own below this one. What a
// source of metrics answered is counted and judged here, because the outcomes of such samples
// are derived again from what was kept.
package check
