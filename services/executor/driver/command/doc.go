// Package command reaches a target by running a command (class OPAQUE): nobody
// can tell whether a command that was cut short had its effect, so it is never
// run twice for one key (PD-5.1, PD-5.2).
//
// In the marker folder lie, for every attempt:
//
//	<release>/<wave>/<attempt>.run     the ticket: a link to what is executed
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
// # An executor that is asleep and not dead
//
// Whoever takes an executor for lost seals its attempt (Seal): with a start marker of
// its own where there is none, and by removing the ticket where there is one. Both are
// single operations of the file system, which one of the two wins, wherever the
// executor was stopped: behind the seal it finds the marker taken, or nothing to
// execute. It needs no clock, and no lock that the sleeper could hold.
//
// A command needs all the time that it may take before its caller's deadline; with
// less it is not begun (ErrNoTime). Both of the machine's clocks are read for that,
// before the marker and again before the execution.
//
// What remains: a command that was executed already when it was sealed goes on, also
// where the whole machine was stopped in between; it is not told from one that is
// at work. And where the executors of a target do not share its marker folder, or the
// seal cannot be written, the clocks are all there is: an executor that is stopped
// between its last look at them and the execution, some hundred microseconds, and wakes
// after its claim is over, runs the command.
//
// A command that has begun is not stopped by the end of the caller's context, only
// by its deadline: to stop it halfway would make an unknown outcome of a known one.
package command
