//go:build tools

// Package charts pins charts that somebody else wrote, for tests that place them: each is a folder of
// a module, which is fetched by its sum when a test needs it, and never a part of what is built.
package charts

import (
	// The chart is beside it; what is imported keeps the pin.
	_ "github.com/stefanprodan/podinfo/pkg/version"
)
