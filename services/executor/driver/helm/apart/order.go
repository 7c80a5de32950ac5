package apart

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// maxMade is the most that all files together measure that a chart makes, as they stand there and
	// with everything written out that they say by an alias, in bytes.
	maxMade = 8 << 20
	// maxAnswer is the most that an answer measures: what is made, and the chart with it.
	maxAnswer = 48 << 20
	// maxRefused is the most of words that are told of what is wrong, in bytes: templates have words of
	// their own for it.
	maxRefused = 64 << 10
	// maxAsked is how often a chart may ask the server, maxURI how long a question may be.
	maxAsked, maxURI = 2000, 4 << 10
)

// Limits are what one reading of a chart may take.
type Limits struct {
	// Memory is in bytes, beyond what the program has when it begins.
	Memory int64
	// Processor is time on the processor, in whole seconds.
	Processor time.Duration
	// Time is all of it, with what the server takes to answer.
	Time time.Duration
}

// Default is what an executor gives one chart: docs/helm.md says it too.
var Default = Limits{Memory: 256 << 20, Processor: 10 * time.Second, Time: 30 * time.Second}

// Release is what a chart is told about the release that it makes.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Revision  int    `json:"revision"`
	// Install is whether it is the first.
	Install bool `json:"install"`
}

// Capabilities is what a chart is told about the server.
type Capabilities struct {
	Version     string   `json:"version"`
	Major       string   `json:"major"`
	Minor       string   `json:"minor"`
	APIVersions []string `json:"apiVersions"`
}

// Order is what is to be done: to read a chart and, where Release is there, to make what it makes.
type Order struct {
	// Chart is its archive, which was looked at for what it unpacks to.
	Chart        []byte         `json:"chart"`
	Values       map[string]any `json:"values,omitempty"`
	Release      *Release       `json:"release,omitempty"`
	Capabilities Capabilities   `json:"capabilities"`
}

// message is what the process says: a question to the server, or the answer to its order.
type message struct {
	Ask    *question `json:"ask,omitempty"`
	Answer *answer   `json:"answer,omitempty"`
}

type question struct {
	URI    string `json:"uri"`
	Accept string `json:"accept"`
}

// Reply is what the server has answered.
type Reply struct {
	Status int    `json:"status"`
	Type   string `json:"type"`
	Body   []byte `json:"body"`
	// Failed says why there is no answer.
	Failed string `json:"failed,omitempty"`
}

type answer struct {
	// Files are what the chart makes, by the names of its templates.
	Files map[string][]byte `json:"files,omitempty"`
	// Chart is the chart as Helm keeps it with a release: with what it takes from its dependencies.
	Chart json.RawMessage `json:"chart,omitempty"`
	// Refused is what is wrong, Kind of which kind that is.
	Refused string `json:"refused,omitempty"`
	Kind    kind   `json:"kind,omitempty"`
}

// kind is one of the driver's kinds of errors, on its way.
type kind string

var kinds = map[kind]error{"invalid": driver.ErrInvalid, "unsupported": driver.ErrUnsupported}

func kindOf(err error) kind {
	for k, is := range kinds {
		if errors.Is(err, is) {
			return k
		}
	}
	return ""
}

// refusal is an error that came from the process, of the kind that it was there.
type refusal struct {
	text string
	is   error
}

func (r refusal) Error() string { return r.text }

func (r refusal) Unwrap() error { return r.is }

// largeError says that a chart makes too much.
func largeError(what string, most int) error {
	return fmt.Errorf("%s measures more than %d bytes: %w", what, most, driver.ErrUnsupported)
}
