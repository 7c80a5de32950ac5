// Package terraform applies a configuration of Terraform or OpenTofu that an artifact holds. All
// that it knows of a target lies in the target's folder:
//
//	fence                       the newest fence and key, what was sealed, what is carried
//	lock                        held while the state is changed
//	ledger.jsonl                one line for every effect
//	placed/<digest>.tar.gz      an artifact that was placed, so that it can be placed again
//	placed/<digest>.json        its version
//	approved/<effect>.json      what a change that was begun may do, for whoever goes on with it
//	left.json                   what the newest complete change left in the state, as digests
//	state/terraform.tfstate     the state, where no backend is configured
//	errored.tfstate             a state that could not be written: nothing is done until people push it
//	work/                       where Terraform runs, emptied after each run
//
// Apply and Rollback go through the same stages:
//
//	admit     under the lock: refuse a stale fence, keep the new one
//	keep      without the lock: put the artifact beside the state, verified
//	plan      under the lock, if the fence still holds: init, validate, plan into a file
//	judge     what the plan would do is what people approved, and destroys nothing protected
//	begin     keep what may be done, and that a change is pending
//	apply     exactly that file, if it is still the same bytes
//	leave     keep what it has left in the state, as digests
//	done      the ledger and the fence say so
//
// # What was approved
//
// Diff is the plan as a text: every resource by its address, with the names of the attributes
// that change and never a value, the serial of the state, and the digest of the whole plan as
// "show -json" has it, without its time. The digest of that text is what people approve. Apply
// plans again and goes on only where the text is the same to the letter. A change that was
// begun, and whose executor died, leaves a state in between: a repetition plans what is left,
// and goes on where every part of that was approved.
//
// # The fence
//
// The lock is held by whoever plans and applies until Terraform has ended, and Terraform dies
// with its executor. What outlives both, such as a program that a provisioner started, carries
// a mark in its environment, and whoever has the lock next ends it before he begins. Between a
// plan and its application Terraform itself compares the lineage and serial of the state. With
// the state in the folder of the target that is all there is (class FENCED). With another
// backend the fence lies in the folder and the state elsewhere, so that an executor that does
// not share the folder is kept away by nothing but the backend's lock and the serial (class
// PROBEABLE).
//
// # What somebody changed by hand
//
// Inspect holds the state to the digests of what the newest complete change left there, and has
// the providers say, by a plan that refreshes and is never applied, whether the resources are as
// the state has them. It reads without any lock. One of the state that outlives its holder would
// be left by every executor that dies while it looks, and keep releases away until people have
// broken it; without one a look may see what is half written, so that it counts for nothing where
// the record of the target is another one after it.
//
// A lock of the state that somebody else holds is waited for, and then answered with ErrBusy;
// it is never broken.
package terraform
