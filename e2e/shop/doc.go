// Package shop is the little world that the demo and the end-to-end tests release
// into: a real HTTP service with two targets on this machine, the people around it,
// a review system, a test runner and a build pipeline that sign what they say, and
// a procedure document that holds all of them together.
//
// Versions of the shop are built from examples/shop into real artifacts with digests
// of their own; targets are folders in which the host driver places them, and
// processes that it restarts.
package shop
