package driver

import (
	"context"
	"errors"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
)

var (
	// ErrStaleFence says that the target has seen a newer fence, or that another
	// key has superseded this one. Nothing was changed.
	ErrStaleFence = errors.New("stale fence")
	// ErrUnknown says that nobody can tell whether the effect happened. It is
	// never had again by itself; a person decides.
	ErrUnknown = errors.New("outcome unknown")
	// ErrNoWayBack says that the target cannot go back to what it carried.
	ErrNoWayBack = errors.New("no way back")
	// ErrBusy says that another executor is at work on the target and did not end
	// before the caller's deadline. Nothing was changed.
	ErrBusy = errors.New("target is busy")
	// ErrSealed says that somebody sealed the attempt before it had begun. Nothing was
	// changed, and with that key nothing will be.
	ErrSealed = errors.New("sealed before it began")
	// ErrNoTime says that too little time is left before the caller's deadline to
	// begin. Nothing was changed.
	ErrNoTime = errors.New("not begun: too little time is left")
	// ErrConflict says that a key is used again with other content, or that the
	// target carries something that neither the plan nor its past knows.
	ErrConflict = errors.New("conflict")
	// ErrUnsupported says that the driver does not take such an artifact.
	ErrUnsupported = errors.New("not supported by this driver")
	// ErrInvalid says that a key, a fence or a plan is malformed.
	ErrInvalid = errors.New("invalid")
)

// ManualChange says that somebody else has changed the target, and that nothing of theirs was
// overwritten. It wraps ErrConflict.
type ManualChange struct {
	// Object is the object of the target, Field what of it, "" for all of it, and Manager who
	// it belongs to by the word of the target, "" where nobody knows.
	Object, Field, Manager string
}

// Error implements error.
func (m *ManualChange) Error() string {
	out := "manual change found: " + m.Object
	if m.Field != "" {
		out += ", " + m.Field
	}
	if m.Manager != "" {
		out += ", belongs to " + m.Manager
	}
	return out
}

// Unwrap makes it a conflict.
func (m *ManualChange) Unwrap() error { return ErrConflict }

// Driver changes one target. Its methods may be called by several goroutines and
// by several processes at a time; the driver orders them by fence.
type Driver interface {
	// Class says what an interruption means; it never changes.
	Class() releasev1.DriverClass
	// Preview says what Apply would do and whether Rollback could place plan.Previous
	// again. It changes nothing, and the same target and plan give the same preview.
	Preview(ctx context.Context, plan Plan) (Preview, error)
	// DryRunRollback says what Rollback would do with the plan, and whether it could. It
	// changes nothing, needs no fence, and the same target and plan give the same answer;
	// the content of the plan's artifact is not needed. An error means that it is not
	// known; that it could not is an answer.
	DryRunRollback(ctx context.Context, plan Plan) (DryRun, error)
	// Diff asks a tool of the target's own what Apply would change, where one is configured
	// (PD-2.5). It changes nothing and needs no fence, and while the target stays as it is the
	// same plan gives the same answer; most drivers do without the content of the plan's
	// artifact, and it is fetched when it is opened. An
	// error means that it was not asked: the plan does not fit, or ctx ended. That the tool
	// failed is an answer.
	Diff(ctx context.Context, plan Plan) (Diff, error)
	// Apply makes the target carry the plan's artifact. When it returns nil the
	// effect is done and survives a crash of the machine. The result is of use
	// beside an error too: it has the output.
	Apply(ctx context.Context, key Key, fence Fence, plan Plan) (Result, error)
	// Rollback makes the target carry plan.Previous again, also when the plan's
	// artifact never reached it; then nothing changes, but older fences and
	// attempts are refused from then on.
	Rollback(ctx context.Context, key Key, fence Fence, plan Plan) (Result, error)
	// Running is the digest that the target carries, "sha256:…", or "" where
	// nothing was ever placed. ErrUnknown where nobody can tell.
	Running(ctx context.Context) (string, error)
	// Probe says what became of an attempt. It changes nothing.
	Probe(ctx context.Context, key Key) (Status, error)
	// Seal keeps an attempt that has not begun from ever beginning, whoever is on his
	// way with it and however long he slept. It says what it found: StatusNotStarted
	// where nothing had begun, and nothing will; StatusSealed where it had been sealed
	// before that already. What had begun is not stopped. Sealing again changes nothing. A FENCED driver refuses older fences from then on as well,
	// and answers ErrBusy while somebody is at work on the target; an OPAQUE one, of
	// whose callers nobody can tell whether they are asleep, waits for nobody.
	Seal(ctx context.Context, key Key, fence Fence) (Status, error)
}

// Plan is what is to be done to one target.
type Plan struct {
	// Release is the id of the release, which salts digests of what nobody may see.
	Release string
	// Target is the target's id.
	Target string
	// Version is the version that is released, for people and for placeholders.
	Version string
	// Artifact is what the target is to carry. Its content is verified against its
	// digest whenever it is read.
	Artifact artifact.Artifact
	// Previous is the digest that the target goes back to, "sha256:…"; "" where it
	// carried nothing. Rollback needs it.
	Previous string
	// PreviousVersion is the version of Previous, for placeholders of a rollback.
	PreviousVersion string
	// Approved is the digest of what Diff said when people approved, "sha256:…"; "" where
	// nothing was shown. A driver that can tell makes no other change.
	Approved string
	// Mark is that of the target when the newest release let it go (Marked); "" where none is
	// known. A driver that has one changes nothing on a target that remembers less.
	Mark string
	// Parameters are the request's, as they are. Never secrets.
	Parameters map[string]string
}

// Preview is what a driver would do, and whether it could undo it (PD-3.5).
type Preview struct {
	// Summary is one line for a person.
	Summary string
	// Detail is the full text, for evidence. No secrets, no times.
	Detail string
	// RollbackReady says that plan.Previous could be placed again, as far as a look can
	// tell.
	RollbackReady bool
	// RollbackReason says why, or why not.
	RollbackReason string
	// Bound is the longest time that Apply or Rollback takes, where the driver needs
	// all of it before its caller's deadline to begin at all; 0 where it does not.
	Bound time.Duration
}

// Result is what a driver did.
type Result struct {
	// Digest is what the target carries now, as far as the driver knows.
	Digest string
	// Message is one line for a person, without secrets.
	Message string
	// Output is what commands printed, cut to 1 MiB and without what looks like a
	// secret.
	Output []byte
	// Redacted counts the secrets that were removed from Output.
	Redacted int
	// Repeated says that the effect had been had before and nothing was done.
	Repeated bool
}

// Status is what became of an attempt.
type Status int

// What Probe can find.
const (
	// StatusUnknown says that it was begun and nobody can tell how it ended.
	StatusUnknown Status = iota
	// StatusNotStarted says that the target has not seen the key.
	StatusNotStarted
	// StatusStarted says that it was begun and not completed; a repetition with the
	// same key completes it.
	StatusStarted
	// StatusDone says that the effect is complete.
	StatusDone
	// StatusFailed says that it ended badly.
	StatusFailed
	// StatusSuperseded says that another key came after it.
	StatusSuperseded
	// StatusSealed says that it was sealed before it had begun, and so never will.
	StatusSealed
)

// String is the status in a word.
func (s Status) String() string {
	switch s {
	case StatusNotStarted:
		return "not started"
	case StatusStarted:
		return "started"
	case StatusDone:
		return "done"
	case StatusFailed:
		return "failed"
	case StatusSuperseded:
		return "superseded"
	case StatusSealed:
		return "sealed"
	case StatusUnknown:
	}
	return "unknown"
}
