package reactor

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// DefaultWorkers is how many messages one step works on at a time.
	DefaultWorkers = 8
	// DefaultDrain is how long work may go on after the context has ended.
	DefaultDrain = 10 * time.Second
	// DefaultBind is how long a step waits for its durable to be made.
	DefaultBind = time.Minute
)

// Config says how a step runs. Its zero value is usable.
type Config struct {
	// Name is the process's name, for logs and notes.
	Name string
	// Workers is how many messages are worked on at a time, in this process. No
	// message is taken before a worker is free for it. Zero means DefaultWorkers.
	Workers int
	// AckWait is the time after which the server delivers a message again unless
	// it hears that work goes on; it hears that three times as often. Zero takes
	// it from the durable.
	AckWait time.Duration
	// Drain is how long work may go on after the context has ended. What is not
	// done by then is given back at once. Zero means DefaultDrain.
	Drain time.Duration
	// Bind is how long to wait for the durable. Zero means DefaultBind.
	Bind time.Duration
	// Now gives the time. Nil means the system's clock.
	Now func() time.Time
	// Metrics is where the step's metrics are registered; several steps may share
	// it. Nil means nowhere.
	Metrics prometheus.Registerer
	// Turns keeps two goroutines from working on one release. Nil means that this
	// step keeps its own; steps of one process should share one.
	Turns *Turns
}

func (c Config) complete() Config {
	if c.Workers <= 0 {
		c.Workers = DefaultWorkers
	}
	if c.Drain <= 0 {
		c.Drain = DefaultDrain
	}
	if c.Bind <= 0 {
		c.Bind = DefaultBind
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Turns == nil {
		c.Turns = NewTurns()
	}
	return c
}
