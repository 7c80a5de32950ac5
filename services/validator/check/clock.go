package check

import "time"

// Clock is the time that the bake goes by.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// Timer returns a channel that is sent to once after the duration, and a function
	// that lets go of the timer.
	Timer(d time.Duration) (<-chan time.Time, func())
}

// SystemClock is the clock of the machine.
type SystemClock struct{}

// Now returns the current time.
func (SystemClock) Now() time.Time { return time.Now() }

// Timer returns a timer of the machine.
func (SystemClock) Timer(d time.Duration) (<-chan time.Time, func()) {
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}
