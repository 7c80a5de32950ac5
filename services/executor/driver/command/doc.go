// Package command reaches a target by running a command (class OPAQUE): nobody
// can tell whether a command that was cut short had its effect, so it is never
// run twice for one key (PD-5.1, PD-5.2).
//
// In the marker folder lie, for every attempt:
//
//	<release>/<wave>/<attempt>.start   created before the command runs, and never twice
//	<release>/<wave>/<attempt>.end     written after it ended, with its status
//	fence, lock                        the newest fence and key of the target
//
// A start without an end means: ErrBusy while the process that made it lives,
// because that process holds a lock on it, and ErrUnknown from then on. An
// executor that takes over therefore keeps the key that it found; a new attempt is
// the decision of a person who looked. A command that was killed, by its deadline
// or otherwise, leaves an end that says unknown; one that ended by itself with a
// status other than 0 failed.
//
// A command that has begun is not stopped by the end of the caller's context, only
// by its deadline: to stop it halfway would make an unknown outcome of a known one.
package command
