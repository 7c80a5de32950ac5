package driver

import (
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// DryRun is what Rollback would do with a plan, as far as that can be told without doing
// it (PD-3.5). It promises nothing: what a look can find out is refused here, before
// anybody approves, and not when production waits for it.
type DryRun struct {
	// Possible says that nothing was found that speaks against it.
	Possible bool
	// Reason says why, or why not, in one line without secrets.
	Reason string
	// Steps is what would be done, in order, for people and as evidence; "" where nothing
	// would be. No secrets, no times.
	Steps string
	// Source is where Rollback takes plan.Previous from. SOURCE_TARGET means that DryRun
	// verified its content there, SOURCE_ORIGIN that somebody else must: the driver does
	// not keep what it placed.
	Source releasev1.RollbackProof_Source
	// Output is what a tool of the target's own printed that was asked to try it, cut to
	// 1 MiB and without what looks like a secret; "" where none was.
	Output string
}
