package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// adminUser is the rig's user who makes streams.
const adminUser = "admin"

// told are the events that the driver of releases waits for, or must not see.
var told = []string{
	"rel.*.approval.risk_cleared", "rel.*.recorder.recorded",
	"rel.*.approval.gates_refused", "rel.*.approval.risk_refused", "rel.*.approval.held",
	"rel.*.validator.scope_refused", "rel.*.validator.verification_failed", "rel.*.validator.verification_inconclusive",
	"rel.*.executor.preview_refused", "rel.*.executor.execution_refused", "rel.*.executor.execution_failed",
	"rel.*.executor.execution_unknown", "rel.*.executor.start_held",
}

// driver carries releases through a rig: it asks for them as CI does, approves them
// as a person does, and sees them end.
type driver struct {
	rig    *rig.Rig
	world  *world
	ci     *nats.Conn
	admin  *nats.Conn
	js     jetstream.JetStream
	desk   approvalv1.ApprovalServiceClient
	free   chan *place
	approv chan string
	failed chan error

	mu   sync.Mutex
	open map[string]*trip // guarded by mu
}

// trip is one release under way.
type trip struct {
	release string
	asked   time.Time
	cleared chan struct{} // closed when it waits for approval
	ended   chan time.Time
	approve bool
}

// approvers is how many approvals are given at a time.
const approvers = 32

func newDriver(ctx context.Context, r *rig.Rig, w *world) (*driver, error) {
	d := &driver{
		rig: r, world: w, free: make(chan *place, len(w.places)), approv: make(chan string, 1<<16),
		failed: make(chan error, 1), open: map[string]*trip{},
	}
	for _, p := range w.places {
		d.free <- p
	}
	var err error
	if d.ci, err = r.Connect(rig.UserCI); err != nil {
		return nil, err
	}
	if d.admin, err = r.Connect(adminUser); err != nil {
		return nil, err
	}
	if d.js, err = jetstream.New(d.admin); err != nil {
		return nil, err
	}
	if d.desk, err = r.As(approver); err != nil {
		return nil, err
	}
	if err := d.listen(ctx); err != nil {
		return nil, err
	}
	for range approvers {
		go d.approve(ctx)
	}
	return d, nil
}

func (d *driver) close() {
	d.ci.Close()
	d.admin.Close()
}

// listen follows the stream from now on.
func (d *driver) listen(ctx context.Context) error {
	consumer, err := d.js.OrderedConsumer(ctx, eventstore.StreamEvents, jetstream.OrderedConsumerConfig{
		FilterSubjects: told, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	if err != nil {
		return fmt.Errorf("follow the stream: %w", err)
	}
	_, err = consumer.Consume(d.see)
	return err
}

func (d *driver) see(m jetstream.Msg) {
	token := strings.Split(m.Subject(), ".")
	d.mu.Lock()
	t := d.open[token[1]]
	d.mu.Unlock()
	if t == nil {
		return
	}
	switch token[3] {
	case "risk_cleared":
		close(t.cleared)
		if t.approve {
			d.approv <- t.release
		}
	case "recorded":
		meta, err := m.Metadata()
		if err != nil {
			d.fail(err)
			return
		}
		t.ended <- meta.Timestamp
	default:
		d.fail(fmt.Errorf("release %s: %s", token[1], token[3]))
	}
}

func (d *driver) fail(err error) {
	select {
	case d.failed <- err:
	default:
	}
}

// approve says yes to what it is shown, as a person would.
func (d *driver) approve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case release := <-d.approv:
			shown, err := d.desk.GetPending(ctx, &approvalv1.GetPendingRequest{Release: release})
			if err == nil {
				p := shown.GetPending()
				_, err = d.desk.Approve(ctx, &approvalv1.ApproveRequest{
					Release: release, ChangeDigest: p.GetChangeDigest(), ShownDigest: p.GetShownDigest(),
				})
			}
			if err != nil && ctx.Err() == nil {
				d.fail(fmt.Errorf("approve %s: %w", release, err))
			}
		}
	}
}

// begin asks for a release to the place.
func (d *driver) begin(p *place, approve bool) (*trip, error) {
	request := d.world.next(p)
	body, err := proto.Marshal(request)
	if err != nil {
		return nil, err
	}
	t := &trip{
		release: procedure.ReleaseID(environment, p.service, request.GetIdempotencyKey()),
		cleared: make(chan struct{}), ended: make(chan time.Time, 1), approve: approve, asked: time.Now(),
	}
	d.mu.Lock()
	d.open[t.release] = t
	d.mu.Unlock()
	return t, d.ci.PublishMsg(&nats.Msg{
		Subject: "request." + environment + "." + p.service, Data: body, Header: nats.Header{"Content-Type": {"application/protobuf"}},
	})
}

var errStalled = errors.New("a release does not go on")

// patience is how long a release may take before something must be wrong.
const patience = 2 * time.Minute

// carry takes a release to the place from the request to its record.
func (d *driver) carry(ctx context.Context, p *place) (*trip, time.Time, error) {
	t, err := d.begin(p, true)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer d.forget(t)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case at := <-t.ended:
		return t, at, nil
	case err := <-d.failed:
		d.fail(err) // for the others
		return nil, time.Time{}, err
	case <-timer.C:
		return nil, time.Time{}, fmt.Errorf("%s: %w", t.release, errStalled)
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

func (d *driver) forget(t *trip) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, t.release)
}

// load carries releases, so many at once. It begins to count when as many have ended
// as are under way, and ends when the time is over and as many have ended once more:
// releases that began together tend to end together, and what is measured is whole
// waves of them.
func (d *driver) load(ctx context.Context, inFlight int, round time.Duration) (loaded, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, inFlight)
	over := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	for range inFlight {
		wait.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				p := <-d.free
				_, _, err := d.carry(ctx, p)
				d.free <- p
				select {
				case ended <- err:
				case <-over:
				}
				if err != nil {
					return
				}
			}
		})
	}
	defer close(over)
	for range inFlight {
		if err := <-ended; err != nil {
			cancel()
			return loaded{}, err
		}
	}
	look, bus, began := watchMachine(), d.busTime(), time.Now()
	counted := 0
	for counted < inFlight || time.Since(began) < round {
		if err := <-ended; err != nil {
			cancel()
			return loaded{}, err
		}
		counted++
	}
	used, busUsed := look(), d.busTime()-bus
	seconds, each := time.Since(began).Seconds(), 1000/float64(counted)
	return loaded{
		rate: float64(counted) / seconds, services: used.own * seconds * each, bus: busUsed.Seconds() * each, used: used,
	}, nil
}

// loaded is what was measured under load.
type loaded struct {
	// rate is how many releases ended in a second.
	rate float64
	// services and bus are the processor time of one release, in milliseconds: that of
	// this process, where services and clients are, and that of the bus, 0 where the
	// system does not tell.
	services, bus float64
	used          busy
}

// busTime is what the bus used of the processors since it began; 0 where the system does
// not tell.
func (d *driver) busTime() time.Duration {
	p, err := lookAt(d.rig.BusPID)
	if err != nil {
		return 0
	}
	return p.used
}

// one carries releases one after the other, and returns what each took without the
// time that the validator has to look.
func (d *driver) one(ctx context.Context, n int) ([]time.Duration, error) {
	var out []time.Duration
	for range n {
		p := <-d.free
		t, at, err := d.carry(ctx, p)
		d.free <- p
		if err != nil {
			return nil, err
		}
		out = append(out, at.Sub(t.asked)-bake)
	}
	return out, nil
}

// event is what a stored message of the stream says.
func event(data []byte) (*releasev1.Event, error) {
	e := &releasev1.Event{}
	return e, proto.Unmarshal(data, e)
}
