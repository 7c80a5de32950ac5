// Package drivertest holds every driver to the promises of its class.
//
// A driver's test makes a Harness, which is a fake target that counts how often
// what it carries changed, and calls Exercise:
//
//	func TestConformance(t *testing.T) {
//		drivertest.Exercise(t, func(t *testing.T) drivertest.Harness { … })
//	}
//
// The harness counts on the target's side, never by what the driver says of
// itself, and it can kill an executor at each place at which a crash leaves
// something different behind. Each test gets a harness of its own. The tests are
// named after the promises; those that a class does not make are not run for it.
//
// Ordeal goes further than the list: it has releases, crashes, sleepers and troubles of
// the target follow each other by chance, and holds the same promises against whatever
// comes of it.
package drivertest
