package apart

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"
	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"github.com/blackdice/shipwarden/internal/argv"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// argument makes the program one that only does this. Whoever does not know it takes it for a flag that
// it does not have: a test binary without Obey ends, instead of testing.
const argument = "-read-a-chart"

// Server answers what charts ask of it. Its errors are told to the chart.
type Server interface {
	Get(ctx context.Context, uri, accept string) (Reply, error)
}

// Made is what a chart has made.
type Made struct {
	files map[string][]byte
	// Chart is what Helm keeps of it with a release.
	Chart *chart.Chart
}

// Read refuses a chart that cannot be placed. Errors wrap driver.ErrInvalid or driver.ErrUnsupported.
func Read(ctx context.Context, l Limits, archive []byte) error {
	_, err := do(ctx, l, Order{Chart: archive}, nil)
	return err
}

// Make makes what a chart makes for a release. Where the chart takes more than the limits, or cannot be
// placed, the error wraps driver.ErrInvalid or driver.ErrUnsupported; it may have values.
func Make(ctx context.Context, l Limits, o Order, server Server) (Made, error) {
	got, err := do(ctx, l, o, server)
	if err != nil {
		return Made{}, err
	}
	m := Made{files: got.Files, Chart: &chart.Chart{}}
	if err := json.Unmarshal(got.Chart, m.Chart); err != nil {
		return Made{}, fmt.Errorf("the chart as it is kept: %w", err)
	}
	return m, nil
}

// Literal is a chart that makes the same, whoever renders it: its templates are what was made.
func (m Made) Literal() *chart.Chart {
	meta := *m.Chart.Metadata
	meta.Dependencies = nil
	c := &chart.Chart{Metadata: &meta}
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		c.Templates = append(c.Templates, &common.File{
			// Helm puts the chart's name before it again.
			Name: strings.TrimPrefix(name, meta.Name+"/"),
			Data: literal(m.files[name]),
		})
	}
	return c
}

// literal is a template that makes a text. Where the text has what begins an instruction it is one
// instruction for all of it: with one for each time, of which there may be millions, a text of some MiB
// would take a hundred times as much to be read.
func literal(text []byte) []byte {
	if !bytes.Contains(text, []byte("{{")) {
		return text
	}
	return []byte("{{" + strconv.Quote(string(text)) + "}}")
}

// do has an order carried out.
func do(ctx context.Context, l Limits, o Order, server Server) (answer, error) {
	program, err := self()
	if err != nil {
		return answer{}, fmt.Errorf("start a process that reads the chart: %w", err)
	}
	command, err := argv.New(&configv1.Command{Argv: []string{program, argument}, Timeout: durationpb.New(l.Time)}, nil, nil)
	if err != nil {
		return answer{}, err
	}
	done, err := take(ctx)
	if err != nil {
		return answer{}, err
	}
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, orders, err := os.Pipe()
	if err != nil {
		return answer{}, err
	}
	said, out := io.Pipe()
	var got answer
	var fault error
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		got, fault = converse(ctx, l, o, server, orders, said)
		_ = orders.Close()
		if fault != nil {
			cancel() // Whatever it does, nobody waits for it.
		}
		_, _ = io.Copy(io.Discard, said)
	}()
	output, ended := command.Run(ctx, argv.Run{
		Argv: []string{"shipwarden-chart", argument}, Path: program, Name: "the process that reads the chart",
		Folder: "/", DieWithUs: true, In: in, Out: out,
	})
	cancel() // Nobody waits for what the server would answer.
	_ = in.Close()
	_ = out.Close()
	<-heard
	switch {
	case errors.Is(fault, driver.ErrUnsupported):
		return answer{}, fault
	case ended != nil:
		return answer{}, why(l, string(output.Text), ended)
	case fault != nil:
		return answer{}, fmt.Errorf("the process that reads the chart: %w", fault)
	case got.Refused != "":
		return answer{}, refusal{got.Refused, kinds[got.Kind]}
	}
	return got, nil
}

// errSaid says that the process has said more than it may.
var errSaid = largeError("chart: what it is and makes", maxAnswer)

// converse gives the order, asks the server what the process wants to know, and hears its answer.
func converse(ctx context.Context, l Limits, o Order, server Server, orders io.Writer, said io.Reader) (answer, error) {
	give := json.NewEncoder(orders)
	if err := errors.Join(give.Encode(l), give.Encode(o)); err != nil {
		return answer{}, err
	}
	bounded := &io.LimitedReader{R: said, N: maxAnswer + maxAsked*2*maxURI}
	hear := json.NewDecoder(bounded)
	for range maxAsked + 1 {
		var m message
		switch err := hear.Decode(&m); {
		case err != nil && bounded.N <= 0:
			return answer{}, errSaid
		case err != nil:
			return answer{}, err
		case m.Answer != nil:
			return *m.Answer, nil
		case m.Ask == nil || server == nil:
			return answer{}, fmt.Errorf("it says nothing that is known: %w", driver.ErrUnsupported)
		}
		reply, err := server.Get(ctx, m.Ask.URI, m.Ask.Accept)
		if err != nil {
			reply = Reply{Failed: err.Error()}
		}
		if err := give.Encode(reply); err != nil {
			return answer{}, err
		}
	}
	return answer{}, fmt.Errorf("the chart asks the server more than %d times: %w", maxAsked, driver.ErrUnsupported)
}

// why says of a process that did not come to its end what it lacked.
func why(l Limits, said string, ended error) error {
	switch {
	case strings.Contains(said, exhausted):
		return fmt.Errorf("chart: what it makes takes more than %s of a processor: %w", l.Processor, driver.ErrInvalid)
	case slices.ContainsFunc(
		[]string{"out of memory", "cannot allocate memory", "stack exceeds", "stack overflow", "failed to create new OS thread"},
		func(sign string) bool { return strings.Contains(said, sign) },
	):
		return fmt.Errorf("chart: what it makes takes more than %d MiB of memory: %w", l.Memory>>20, driver.ErrInvalid)
	case errors.Is(ended, argv.ErrExit):
		return fmt.Errorf("chart: reading it fails: %w", ended) // What it printed may have a value.
	}
	return fmt.Errorf("chart: what it makes is not there in time: %w", ended)
}

// self is this program: as it was started, be there another one in its place by now.
func self() (string, error) {
	if runtime.GOOS == "linux" {
		return path.Join("/proc", "self", "exe"), nil
	}
	return os.Executable()
}
