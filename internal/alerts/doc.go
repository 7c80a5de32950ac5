// Package alerts asks Prometheus and Alertmanager which alerts are active, and judges by
// the procedure document what that means for a release.
//
// It follows no redirect, takes bounded answers in bounded time, and trusts nothing in
// them: labels and their values are bounded texts. An answer that cannot be had, or not
// be read, is an error. Whoever asks must take that for "nobody can tell", and never for
// "nothing fires".
//
// Of an answer only what decides is kept as evidence: the alerts that a rule is about, by
// the labels that the rules name, in one order and without when they were asked for. What
// says the same is then the same document, however often it is looked at, and a store of
// evidence does not fill up while a release waits.
package alerts
