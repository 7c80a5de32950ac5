// Package view says how a release went, from its events alone: its steps with
// their times, who had a part, and what stands as it is now.
//
// It is pure. The same events give the same bytes, whenever they are read, so that
// what is computed from them can be computed again and compared (PD-8.1).
package view
