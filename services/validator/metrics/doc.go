// Package metrics asks a source of metrics by the HTTP API of Prometheus, and believes
// nothing that it answers before it was looked at.
//
// Where a source is stands in the validator's configuration; a check names it and brings a
// query. What a source's name resolves to is judged as that of a target is (package dial).
// No redirect is followed, no proxy asked, no body read beyond a bound. An answer is an
// answer only if it is JSON that all readers agree on, says success and nothing that is not
// known here, was given at about the time that it is here, and holds values of the kind that
// was asked for, at times that were asked for. Whatever else comes back is an error, and so
// is a warning: it says that a part of the data is missing, or may be.
//
// Tokens and headers come from files, are read for every question, and are taken out of
// whatever an error repeats. Labels are looked at to tell series from one another, and
// forgotten.
//
// A source of logs is asked in the same way, by the HTTP API of Loki, whose answers to a count
// of lines are those of Prometheus.
package metrics
