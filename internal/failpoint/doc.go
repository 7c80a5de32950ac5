// Package failpoint names the places in the code at which a crash, a pause or an
// error leaves something different behind, so that fault tests can strike exactly
// there instead of hoping to.
//
// In an ordinary build every function of this package is empty and compiled away;
// no environment variable and no file can wake it. Built with the tag "failpoints"
// a process counts every passage of a place in the folder named by the environment
// variable SHIPWARDEN_FAILPOINTS, and does there what it is ordered:
//
//	<folder>/<point>.hits     one byte for every passage, by whatever process
//	<folder>/<point>.order    "<action> <n>": strike at the n-th passage or later
//	<folder>/<point>.<pid>    the order, once a process has taken it
//
// An order is taken by one process and carried out once. The actions are kill and
// stop (SIGKILL and SIGSTOP to the process itself), error (Hit returns one), and bus:
// the process stops itself and asks whoever gave the order to kill the bus just then.
// That is done when the file of the taken order is removed; until then the process
// passes the place no further, though it may have been let go on. `make chaos` drives
// it.
package failpoint

import "errors"

// Variable names the folder in the environment of a process built with the tag.
const Variable = "SHIPWARDEN_FAILPOINTS"

// What a process can be ordered to do at a point.
const (
	Kill  = "kill"
	Stop  = "stop"
	Error = "error"
	Bus   = "bus"
)

// ErrOrdered is what Hit returns where an error was ordered.
var ErrOrdered = errors.New("ordered by a failpoint")
