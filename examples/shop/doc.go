// Shop is a small HTTP service to try releases with: it says which version it is
// and which artifact it was started from, and can be told to turn unhealthy after
// a while, as bad versions do.
//
//	/         its version
//	/healthz  200 "ok", or 500 "unhealthy"
//	/digest   {"digest": "sha256:…"}, as given at the start
//
// Build a version of it with
//
//	go build -trimpath -ldflags "-X main.version=1.0.0" -o shop .
//
// and one that is bad from the build on with
//
//	go build -trimpath -ldflags "-X main.version=2.0.0 -X main.unhealthyAfter=2s" -o shop .
//
// It ends on SIGTERM and SIGINT, and gives its port up at once: the next version
// can listen while the last requests of this one are still answered.
package main
