package failpoint

// Point is a place in the code.
type Point struct {
	// Name is what Hit and At are called with there.
	Name string
	// Errors says that an error can be ordered there.
	Errors bool
}

// Points are all places, in the order in which a release passes them. A point that
// is missing here is never ordered, and one that no run passes is a failed run.
var Points = []Point{
	// Every process that appends.
	{"append.before", true},  // decided and signed, not sent
	{"append.inside", false}, // half of an atomic batch is sent
	{"append.after", true},   // stored, and the writer has not heard of it
	// Every step.
	{"step.before", true},      // delivered, nothing done
	{"step.before-ack", false}, // all done, not acknowledged
	{"step.after-ack", false},
	// Intake.
	{"intake.stored", true}, // the release is there, its answer is not
	{"intake.answered", true},
	// Notices.
	{"notify.intended", true}, // the intent is kept, nothing was sent
	{"notify.sent", true},     // sent, and the receipt is not on record
	// Timers.
	{"deadline.scheduled", true}, // the timer is set, and nobody remembers it
	{"deadline.remembered", true},
	// People's decisions.
	{"desk.decided", true}, // a person decided, nothing is stored
	{"desk.stored", false}, // stored, and the person has no answer
	// Execution.
	{"execute.looked", true},  // the targets were looked at, nothing is locked
	{"execute.claimed", true}, // the wave is claimed and locked, nothing is done
	{"execute.fenced", true},  // the lock was read back, the driver not called
	{"execute.shut", true},    // a wave that must not begin any more is sealed, and not on record
	{"execute.sealed", true},  // the targets of a lost executor are sealed, nobody was told
	{"execute.applied", true}, // the driver is done, the outcome is not on record
	{"rollback.claimed", true},
	{"rollback.fenced", true},
	{"rollback.applied", true},
	{"release.settled", true}, // what targets carry was read, nothing is let go
	{"wake.looked", true},     // a release has let its targets go, or waits for some, and nobody was woken
	// Drivers.
	{"noop.admitted", false},
	{"noop.counted", false},
	{"noop.done", false},
	{"host.admitted", false},
	{"host.staged", false},
	{"host.pending", false},
	{"host.switched", false},
	{"host.counted", false},
	{"host.restarted", false},
	{"host.done", false},
	{"command.admitted", false},
	{"command.ticket", false},
	{"command.started", false},
	{"command.ran", false},
	{"command.ended", false},
	{"config.read", false},
	{"config.admitted", false},
	{"config.checked", false},
	{"config.written", false},
	{"config.done", false},
	// Verification.
	{"verify.judged", true}, // baked and judged, the samples are not kept
	{"verify.kept", true},
	// The record.
	{"record.before-commit", true},
	{"record.after-commit", true}, // on record, and the recorder has not heard of it
	{"record.closing", true},      // the record's digest is made, `recorded` is not stored
}

// BusPoints are those of Points at which it matters most that the bus dies just then: what
// was sent may be stored or not, and what follows from it is not done.
var BusPoints = []string{
	"append.inside", "append.after", "step.before-ack", "intake.stored", "deadline.scheduled", "desk.stored", "execute.claimed",
	"config.checked", // the bucket goes with the bus: a write is on its way, and maybe there
}
