package chaos

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/procedure"
)

// patience is how long a lane waits for one release before it goes on to the next.
const patience = 2 * time.Minute

// lane asks for the releases of a lane, one after the other. It stops asking when
// submit ends, and waiting when the context does.
func (r *run) lane(ctx, submit context.Context, at int) {
	for _, p := range r.plan.Releases[at] {
		if submit.Err() != nil {
			return
		}
		release := procedure.ReleaseID(environment, r.plan.Lanes[at].Service, p.Key)
		if err := r.ask(ctx, r.plan.Lanes[at], p); err != nil {
			r.say("ask for %s: %v", release, err)
			return
		}
		r.mu.Lock()
		r.asked++
		r.mu.Unlock()
		if p.Fate == fateNeglected {
			continue
		}
		for end := time.Now().Add(patience); ctx.Err() == nil && !r.watcher.state(release).Recorded && time.Now().Before(end); {
			pause(ctx, 30*time.Millisecond)
		}
	}
}

// ask publishes a request until the bus says that it has it, and some of them more
// often than that.
func (r *run) ask(ctx context.Context, l lane, p releasePlan) error {
	request, err := r.world.request(l, p, time.Now())
	if err != nil {
		return err
	}
	body, err := protojson.Marshal(request)
	if err != nil {
		return err
	}
	m := &nats.Msg{
		Subject: "request." + environment + "." + l.Service, Data: body, Header: nats.Header{"Content-Type": []string{"application/json"}},
	}
	for sent := 0; sent <= p.Repeats && ctx.Err() == nil; {
		asked := call{Op: opRequest, Release: procedure.ReleaseID(environment, l.Service, p.Key), Key: p.Key}
		if r.history.do(asked, func() error { return r.publish(ctx, m) }) == nil {
			sent++
		}
	}
	return ctx.Err()
}

func (r *run) publish(ctx context.Context, m *nats.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err := r.js.PublishMsg(ctx, m)
	return err
}
