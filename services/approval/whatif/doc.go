// Package whatif goes through the procedure without doing anything: with a request that
// was not sent, from where a release is now, and with releases of the past under another
// procedure document (N-18).
//
// It decides nothing of its own. What the steps would say is asked of the steps
// themselves, with a state that is folded in memory; whoever uses it gives it something
// that reads, and it has nothing that writes. Whom the steps ask besides the record is asked
// for a request that was not sent, once and not for long. What only the validator and the
// executor can find out is said to be unknown.
package whatif
