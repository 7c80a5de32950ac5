// Package inspect says whether an artifact is of the kind that its request says
// (PD-2.1): a chart has a Chart.yaml under the name and version by which it is asked for,
// a plan is a saved plan, an archive unpacks within bounds and into one folder, a
// configuration document can be read in one way only.
//
// Whoever made the artifact is not believed. Everything is read once, from the bytes that
// the digest is computed of, and nothing is written: an archive is walked, not unpacked.
// What it would unpack to is bounded in bytes, in entries and in the ratio to its own
// size; a path that leaves the folder, a link that does, a device, a name that is there
// twice refuse it whole. Errors wrap ErrKind, except those of reading.
package inspect
