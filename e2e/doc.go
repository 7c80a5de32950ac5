// Package e2e holds the tests that need the whole product: releases carried over
// the real wire from request to record, and the rules about how the modules of
// this repository may depend on each other.
//
// It belongs to the roof: it may import whatever it tests, and nothing imports it.
package e2e
