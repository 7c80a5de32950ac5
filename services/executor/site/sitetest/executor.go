package sitetest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/envelope/envelopetest"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/reactor"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/site"
)

// Executor is one executor in the process of the test, with a connection of its own.
type Executor struct {
	*site.Site
	JS jetstream.JetStream
	// Turns keeps its steps from working on one release at a time.
	Turns *reactor.Turns

	conn *nats.Conn
	stop context.CancelFunc
	ends []chan error
}

// Step makes a step of the executor.
type Step func(s *site.Site, now func() time.Time) reactor.Step

// Executor makes an executor that does not run yet. At is called around the drivers'
// calls and at their own points; nil for nothing.
func (w *World) Executor(t *testing.T, name string, at func(point string)) *Executor {
	t.Helper()
	conn := w.Connect(t)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSite(js, name, w.Folder, w.Targets, at)
	if err != nil {
		t.Fatal(err)
	}
	return &Executor{Site: s, JS: js, Turns: reactor.NewTurns(), conn: conn}
}

// Run makes an executor and runs its steps until the test ends.
func (w *World) Run(t *testing.T, name string, steps ...Step) *Executor {
	t.Helper()
	e := w.Executor(t, name, nil)
	e.Start(t, steps...)
	return e
}

// Start runs steps until Stop, Vanish or the end of the test.
func (e *Executor) Start(t *testing.T, steps ...Step) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	e.stop = stop
	for _, step := range steps {
		end := make(chan error, 1)
		e.ends = append(e.ends, end)
		go func() { end <- e.run(ctx, step(e.Site, time.Now)) }()
	}
	t.Cleanup(e.Stop)
}

func (e *Executor) run(ctx context.Context, step reactor.Step) error {
	return reactor.Run(ctx, e.JS, storeOf(e.JS), reactor.Config{
		Name: e.Name, Workers: 2, AckWait: AckWait, Drain: 200 * time.Millisecond, Turns: e.Turns,
	}, step)
}

// Stop ends the steps as a service does when it is told to, and waits for it.
func (e *Executor) Stop() {
	if e.stop != nil {
		e.stop()
	}
	for _, end := range e.ends {
		<-end
	}
	e.ends = nil
}

// Vanish cuts the executor off: whatever it does, nobody hears of it any more.
func (e *Executor) Vanish() { e.conn.Close() }

func storeOf(js jetstream.JetStream) *eventstore.Store {
	return eventstore.New(js, envelopetest.Ring(), envelopetest.Signer(procedure.ServiceExecutor), time.Now)
}

func newSite(js jetstream.JetStream, name, folder string, targets []*configv1.TargetDriver, at func(string)) (*site.Site, error) {
	if at == nil {
		at = func(string) {}
	}
	drivers, err := open(targets, folder, at)
	if err != nil {
		return nil, err
	}
	for id, d := range drivers {
		drivers[id] = watched{d, at}
	}
	fetcher, err := artifact.NewFetcher(filepath.Join(folder, "artifacts"), nil)
	if err != nil {
		return nil, err
	}
	blobs := evidence.New(js)
	return &site.Site{
		Name: name, Drivers: drivers, Fetcher: fetcher, Store: storeOf(js), Procedures: policy.NewSource(blobs.Get), Blobs: blobs,
	}, nil
}

// The places around every call that changes a target.
const (
	// Before lies between the claim and the effect, After between the effect and the
	// outcome.
	Before = "sitetest.before"
	After  = "sitetest.after"
	// Looking lies before a driver is asked what its target carries.
	Looking = "sitetest.looking"
)

// watched tells of every call that changes a target, or asks what it carries.
type watched struct {
	driver.Driver
	at func(string)
}

func (w watched) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	w.at(Before)
	r, err := w.Driver.Apply(ctx, key, f, plan)
	w.at(After)
	return r, err
}

func (w watched) Running(ctx context.Context) (string, error) {
	w.at(Looking)
	return w.Driver.Running(ctx)
}

// Inspect implements driver.Inspector: what the driver says where it is one.
func (w watched) Inspect(ctx context.Context) ([]string, error) {
	i, ok := w.Driver.(driver.Inspector)
	if !ok {
		return nil, nil
	}
	return i.Inspect(ctx)
}

// Mark implements driver.Marked: what the driver says where it is one.
func (w watched) Mark(ctx context.Context) (string, error) {
	m, ok := w.Driver.(driver.Marked)
	if !ok {
		return "", nil
	}
	return m.Mark(ctx)
}

// Remembers implements driver.Marked: what the driver says where it is one.
func (w watched) Remembers(ctx context.Context, mark string) error {
	m, ok := w.Driver.(driver.Marked)
	if !ok {
		return nil
	}
	return m.Remembers(ctx, mark)
}

func (w watched) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	w.at(Before)
	r, err := w.Driver.Rollback(ctx, key, f, plan)
	w.at(After)
	return r, err
}
