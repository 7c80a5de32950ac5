package helm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/uuid"
	release "helm.sh/helm/v4/pkg/release/v1"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

// grace is how long a call may take beyond what a release may: to try, to write and to prune.
const grace = 2 * time.Minute

var (
	errSlow = errors.New("not through in time")
	// errValues is that what was there before is not known by its digest.
	errValues = fmt.Errorf("the release changes the values of the same chart, and what was there before is known by the digest of its chart alone: give the chart another version: %w", driver.ErrNoWayBack)
)

// change is one call of Apply or Rollback.
type change struct {
	cluster.Change
	driver *Driver
	material
	// history are the revisions that are there, target the one that is gone back to; 0 where a chart is
	// placed.
	history []revision
	target  int
	content content
	hidden  []string
	// overrules are what somebody else has changed and a rollback takes back.
	overrules []string
	repaired  []string
	// stuck are Deployments that had failed before the call.
	stuck []cluster.Ref
}

func (d *Driver) apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	ctx = apart.ForAChange(ctx)
	if err := check(plan); err != nil {
		return driver.Result{}, err
	}
	server, err := d.Open()
	if err != nil {
		return driver.Result{}, err
	}
	m, err := d.material(ctx, plan)
	if err != nil {
		return driver.Result{}, err
	}
	c := &change{driver: d, material: m, Change: cluster.Change{
		Namespace: d.Namespace, Server: server, Key: key, Fence: f, Digest: plan.Artifact.Digest,
	}}
	return c.do(ctx, plan)
}

// material is what the plan's artifact and the values of now make.
func (d *Driver) material(ctx context.Context, plan driver.Plan) (m material, err error) {
	if m.Chart, err = packed(ctx, plan); err != nil {
		return m, err
	}
	// Before anybody is asked.
	if err := d.look(ctx, m.Chart); err != nil {
		return m, fmt.Errorf("artifact %s: %w", plan.Artifact.Name, err)
	}
	if m.Values, err = d.values.plain(plan.Parameters); err != nil {
		return m, err
	}
	m.part, err = sum(m.Values)
	return m, err
}

func (d *Driver) rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	ctx = apart.ForAChange(ctx)
	if plan.Previous == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	server, err := d.Open()
	if err != nil {
		return driver.Result{}, err
	}
	r, err := d.Load(ctx, server)
	if err != nil {
		return driver.Result{}, err
	}
	m, _, err := d.former(ctx, server, r, plan.Previous)
	if err != nil {
		return driver.Result{}, fmt.Errorf("%s: %w", plan.Previous, err)
	}
	// The way forth of the same wave.
	forth := driver.Key(key.Wave() + "/1")
	if p := r.Placed[plan.Previous]; plan.Previous == plan.Artifact.Digest && p.Over && p.Mark == effectOf(forth, plan.Previous, p.Part) {
		return driver.Result{}, fmt.Errorf("%s: %w", plan.Previous, errValues)
	}
	c := &change{driver: d, material: m, Change: cluster.Change{
		Namespace: d.Namespace, Server: server, Key: key, Fence: f, Back: true, Digest: plan.Previous, Other: plan.Artifact.Digest,
	}}
	return c.do(ctx, plan)
}

func (c *change) do(ctx context.Context, plan driver.Plan) (driver.Result, error) {
	finished, err := c.Admit(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	if finished {
		return driver.Result{Digest: c.Digest, Message: "carries " + c.Digest + " already", Repeated: true}, nil
	}
	c.driver.at(PointAdmitted)
	ctx, cancel := context.WithTimeoutCause(ctx, c.driver.timeout+grace, errSlow)
	defer cancel()
	// Helm at work twice for one call would be its own undoing.
	c.Runner = uuid.NewString()
	if finished, err = c.Attend(ctx); err != nil {
		return driver.Result{}, err
	}
	if finished {
		return driver.Result{Digest: c.Digest, Message: "carries " + c.Digest + " already", Repeated: true}, nil
	}
	stop := c.Beat(ctx)
	defer stop()
	if err := c.prepare(ctx); err != nil {
		return driver.Result{}, err
	}
	if !c.Back {
		if err := c.keep(ctx, c.driver, c.Server, c.Digest, plan.Version); err != nil {
			return driver.Result{}, err
		}
	}
	before, err := c.Load(ctx, c.Server)
	if err != nil {
		return driver.Result{}, err
	}
	r, err := c.begin(ctx)
	if err != nil {
		return driver.Result{}, err
	}
	c.driver.at(PointBegun)
	g := &gate{
		server: c.Server, hidden: c.hidden, change: &c.Change, stamp: r.Stamp(), effect: effectOf(c.Key, c.Digest, c.part),
		known: before.HasPlaced, content: c.content,
	}
	number, err := c.run(ctx, g)
	if err != nil && c.stuck != nil && c.freed(ctx) {
		c.repaired = append(c.repaired, "what had failed before still looked like it, and Helm was asked again")
		if r, err = c.anew(ctx); err == nil {
			g.content = c.content
			number, err = c.run(ctx, g)
		}
	}
	result := driver.Result{Output: []byte(c.told())}
	if err != nil {
		if stale := c.Holds(ctx); errors.Is(stale, driver.ErrStaleFence) {
			err = stale
		}
		return result, scrubbed{g.refusal(err), c.hidden}
	}
	c.driver.at(PointDeployed)
	pruned, missing, err := c.settle(ctx, g, r)
	if err != nil {
		return result, err
	}
	stop()
	if err := c.Finish(ctx, c.Objects.Refs(), missing, c.remember(number)); err != nil {
		return result, err
	}
	c.driver.at(PointDone)
	c.Forget(ctx, c.Server, c.Digest, plan.Previous, plan.Artifact.Digest)
	result.Digest = c.Digest
	result.Message = fmt.Sprintf("carries %s: release %s is at revision %d, %d objects are ready, %d deleted%s",
		c.Digest, c.driver.release, number, len(c.content.objects), pruned, c.short())
	return result, nil
}

// begin keeps what the change may place.
func (c *change) begin(ctx context.Context) (cluster.Record, error) {
	c.Objects, c.Stays = c.content.all(), c.content.stays
	return c.Begin(ctx, c.Objects.Refs())
}

// anew begins once more, with the revision after the one that failed.
func (c *change) anew(ctx context.Context) (r cluster.Record, err error) {
	if c.history, err = c.driver.revisions(ctx, c.Server); err != nil {
		return r, err
	}
	if c.content, c.hidden, err = c.driver.contentFor(ctx, c.Server, c.material, c.history, c.target); err != nil {
		return r, err
	}
	return c.begin(ctx)
}

// prepare finds out what is there, what is to be, and what the server would refuse.
func (c *change) prepare(ctx context.Context) (err error) {
	if c.history, err = c.driver.revisions(ctx, c.Server); err != nil {
		return err
	}
	r, err := c.Load(ctx, c.Server)
	if err != nil {
		return err
	}
	if c.Back {
		c.target = c.driver.revisionOf(c.history, r, c.Digest)
	}
	if c.content, c.hidden, err = c.driver.contentFor(ctx, c.Server, c.material, c.history, c.target); err != nil {
		return err
	}
	c.overrules, err = c.driver.try(ctx, c.Server, c.content, c.Back)
	if err != nil {
		return scrubbed{err, c.hidden}
	}
	for _, o := range c.content.objects.Refs() {
		if o.Kind != "Deployment" {
			continue
		}
		if state, _, err := c.State(ctx, o); err != nil {
			return err
		} else if state == status.FailedStatus {
			c.stuck = append(c.stuck, o)
		}
	}
	return nil
}

// forgetting is how often, every half second, a controller is asked whether it still tells of the failure
// before: the busier its cluster is, the later it sees what is wanted now.
const forgetting = 30

// freed reports whether what had failed before the call has not failed any more: its controller tells of
// the failure before for a moment after it has seen what is wanted now, and Helm takes that for a new one.
func (c *change) freed(ctx context.Context) bool {
	ticker := time.NewTicker(time.Second / 2)
	defer ticker.Stop()
	for range forgetting {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		failed := slices.ContainsFunc(c.stuck, func(o cluster.Ref) bool {
			state, _, err := c.State(ctx, o)
			return err != nil || state == status.FailedStatus
		})
		if !failed {
			return c.Holds(ctx) == nil
		}
	}
	return false
}

// revisionOf is the number of Helm's revision that a digest was ready with; 0 where Helm has it no more,
// or has another one by that number.
func (d *Driver) revisionOf(all []revision, r cluster.Record, digest string) int {
	placed := r.Placed[digest]
	for _, one := range all {
		if one.number == placed.Revision && one.labels[cluster.LabelTarget] == d.Target && one.labels[labelEffect] == placed.Mark {
			return one.number
		}
	}
	return 0
}

// contentFor is what the material, or the revision that is gone back to, has the server carry.
func (d *Driver) contentFor(ctx context.Context, s *cluster.Server, m material, all []revision, target int) (content, []string, error) {
	if target == 0 {
		return d.render(ctx, s, m, all)
	}
	_, hidden, err := d.values.reveal(m.Values)
	if err != nil {
		hidden = nil // What was there before needs none of today's secrets.
	}
	helm, err := d.through(ctx, &gate{server: s})
	if err != nil {
		return content{}, hidden, err
	}
	r, err := of(helm, d.release, target)
	if err != nil {
		return content{}, hidden, err
	}
	for _, secret := range d.values.secrets {
		if text := textAt(r.Config, secret.GetValue()); len(text) >= minSecret {
			hidden = append(hidden, text)
		}
	}
	c, err := d.contentOf(r, []release.HookEvent{release.HookPreRollback, release.HookPostRollback})
	return c, hidden, err
}

// textAt is the text at a path of values; "" where there is none.
func textAt(in map[string]any, path string) string {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		in, _ = in[name].(map[string]any)
	}
	text, _ := in[names[len(names)-1]].(string)
	return text
}

// settle sees to it that every object that anybody may have placed is another one than a stale executor
// has read, or gone.
func (c *change) settle(ctx context.Context, g *gate, r cluster.Record) (pruned int, missing []cluster.Ref, err error) {
	wanted := c.Objects.Refs()
	for _, o := range cluster.Union(r.Objects, wanted) {
		if cluster.Has(wanted, o) && !g.wrote(o) {
			if err := c.Mark(ctx, c.Server, o, r.Stamp(), r.HasPlaced(o)); err != nil {
				return 0, nil, err
			}
		}
	}
	return c.Prune(ctx, r)
}

// remember keeps in the record which revision was ready with the digest.
func (c *change) remember(number int) func(*cluster.Record) {
	return func(r *cluster.Record) {
		placed, count := map[string]cluster.Placed{}, uint64(0)
		for digest, p := range r.Placed {
			placed[digest], count = p, max(count, p.Count)
		}
		old, mark := placed[c.Digest], effectOf(c.Key, c.Digest, c.part)
		placed[c.Digest] = cluster.Placed{
			Part: c.part, Revision: number, Mark: mark, Count: count + 1,
			Over: old.Part != "" && (!sameValues(c.part, old.Part) || old.Mark == mark && old.Over),
		}
		for len(placed) > maxHistory {
			oldest := c.Digest
			for digest, p := range placed {
				if p.Count < placed[oldest].Count {
					oldest = digest
				}
			}
			delete(placed, oldest)
		}
		r.Placed = placed
	}
}

// told is what there is to say of what was found, a line each.
func (c *change) told() string {
	var out strings.Builder
	for _, line := range c.repaired {
		fmt.Fprintf(&out, "repaired: %s\n", line)
	}
	for _, line := range c.overrules {
		fmt.Fprintf(&out, "taken back: %s\n", scrub(line, c.hidden))
	}
	return out.String()
}

// short is the same for a message.
func (c *change) short() string {
	var out strings.Builder
	for _, line := range c.repaired {
		fmt.Fprintf(&out, "; %s", line)
	}
	if n := len(c.overrules); n > 0 {
		fmt.Fprintf(&out, "; %d changes of somebody else are taken back", n)
	}
	return out.String()
}
