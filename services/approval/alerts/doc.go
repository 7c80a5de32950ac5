// Package alerts asks Prometheus and Alertmanager which alerts are active.
//
// It follows no redirect, takes bounded answers in bounded time, and trusts nothing in
// them: labels and their values are bounded texts. An answer that cannot be had, or not
// be read, is an error. Whoever asks must take that for "nobody can tell", and never for
// "nothing fires".
package alerts
