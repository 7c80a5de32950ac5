// Package target looks at one target of a deployment, and changes nothing on it.
//
// Where a target is looked at stands in the validator's configuration, never in a
// request: a request only names a path below the configured base URL. What the
// target answers cannot lead elsewhere either: redirects are followed three times at
// most and only on the same host and port, names are resolved once for every look,
// and the connection goes to the addresses that were judged (package dial).
//
// A look has one of three ends. The target answered; or it was asked and did not
// answer as a working service does (ErrNoAnswer), which speaks against the target; or
// it could not be asked, or its answer not be taken in (ErrNotSeen), which says
// nothing about the target and must therefore never be taken for good (PD-6.3).
package target
