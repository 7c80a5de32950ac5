package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

const (
	// again is the pause before a branch is read again that somebody pushed to at the same time.
	again = 20 * time.Millisecond
	// patience is how long a call goes on asking a repository that does not answer, beside the
	// time that the resource may take.
	patience = time.Minute
)

// change is one call of Apply or Rollback.
type change struct {
	key      driver.Key
	fence    driver.Fence
	digest   string // what the target is to carry
	rollback bool
	plan     driver.Plan
	// files are what the folder is to have, as soon as that is known, and from the commit of the
	// way back that has them.
	files map[string][]byte
	from  string
	// sent is the error of a push of which nobody knows yet what became of it.
	sent error
	// pushed says that a commit of this call has changed the files.
	pushed bool
	// passed are the points that were passed before the branch was read again.
	passed []string
}

// pass tells of a point, the first time.
func (d *Driver) pass(c *change, point string) {
	if !slices.Contains(c.passed, point) {
		c.passed = append(c.passed, point)
		d.at(point)
	}
}

// Apply implements driver.Driver.
func (d *Driver) Apply(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.apply(ctx, &change{key: key, fence: f, digest: plan.Artifact.Digest, plan: plan})
	if err != nil {
		return result, fmt.Errorf("apply to target %s: %w", d.target, cluster.Told(err))
	}
	return result, nil
}

func (d *Driver) apply(ctx context.Context, c *change) (driver.Result, error) {
	if err := errors.Join(ctx.Err(), check(c.plan)); err != nil {
		return driver.Result{}, err
	}
	var err error
	if c.files, err = d.content(ctx, c.plan.Artifact); err != nil {
		return driver.Result{}, err
	}
	return d.change(ctx, c)
}

// Rollback implements driver.Driver: a commit that puts back what was there before.
func (d *Driver) Rollback(ctx context.Context, key driver.Key, f driver.Fence, plan driver.Plan) (driver.Result, error) {
	result, err := d.rollback(ctx, &change{key: key, fence: f, digest: plan.Previous, rollback: true, plan: plan})
	if err != nil {
		return result, fmt.Errorf("roll back target %s: %w", d.target, cluster.Told(err))
	}
	return result, nil
}

func (d *Driver) rollback(ctx context.Context, c *change) (driver.Result, error) {
	if c.digest == "" {
		return driver.Result{}, fmt.Errorf("nothing was there before: %w", driver.ErrNoWayBack)
	}
	if _, err := artifact.Hex(c.digest); err != nil {
		return driver.Result{}, fmt.Errorf("previous: %w: %w", driver.ErrInvalid, err)
	}
	return d.change(ctx, c)
}

// change brings the commit onto the branch, and waits until the resource has it.
func (d *Driver) change(ctx context.Context, c *change) (driver.Result, error) {
	if c.key.IsRollback() != c.rollback {
		return driver.Result{}, fmt.Errorf("key %s: %w", c.key, driver.ErrInvalid)
	}
	s, finished, err := d.push(ctx, c)
	if err != nil {
		return driver.Result{}, err
	}
	d.pass(c, PointPushed)
	result := driver.Result{Digest: c.digest}
	if c.pushed && d.ask {
		// It looks by itself, only later.
		if err := d.resource.Ask(ctx, d.now()); err != nil {
			result.Output = fmt.Append(nil, cluster.Told(err), "\n")
		}
	}
	w := wait{driver: d, change: c, state: s}
	at, err := w.done(ctx)
	if err != nil {
		result.Message = w.why
		return result, err
	}
	d.pass(c, PointHealthy)
	result.Repeated = finished
	result.Message = fmt.Sprintf("carries %s: %s is healthy at commit %s", c.digest, d.resource, short(at))
	return result, nil
}

// push reads, judges and pushes until the branch says what it should, and returns it. It is
// finished where the files were there, by this effect.
func (d *Driver) push(ctx context.Context, c *change) (s state, finished bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the repository did not take it within %s", patience))
	defer cancel()
	for {
		through, there, err := d.attempt(ctx, c, &s)
		if err != nil {
			return s, false, c.unsure(err)
		}
		if through {
			return s, there && !c.pushed, nil
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}

// unsure says what an error means after a push of which nobody knows what became: it may be there,
// or come.
func (c *change) unsure(err error) error {
	switch {
	case c.sent != nil && !errors.Is(err, driver.ErrStaleFence):
		return fmt.Errorf("%w: %w (%w)", driver.ErrUnknown, c.sent, err)
	case errors.Is(err, gitrepo.ErrUnavailable):
		return fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	return err
}

// attempt reads the branch once and pushes once at most. It is through where the branch says what
// it should, and finished where the files are there by the same effect.
func (d *Driver) attempt(ctx context.Context, c *change, into *state) (through, finished bool, err error) {
	s, err := d.load(ctx)
	if err != nil {
		return false, false, err
	}
	*into = s
	d.pass(c, PointRead)
	next, finished, err := d.judge(ctx, s, c)
	if err != nil {
		return false, false, err
	}
	d.pass(c, PointAdmitted)
	if next.same(s.note) {
		c.sent = nil
		return true, finished, nil
	}
	if err := d.begin(ctx, s, c); err != nil {
		return false, false, err
	}
	changes := s.note.Change != next.Change
	err = d.write(ctx, s, next, c)
	switch {
	case errors.Is(err, gitrepo.ErrUnanswered):
		c.sent, c.pushed = err, changes
		return false, finished, nil
	case errors.Is(err, gitrepo.ErrRaced), errors.Is(err, gitrepo.ErrUnavailable) && ctx.Err() == nil:
		return false, finished, nil
	case err != nil:
		return false, false, wrong(err)
	}
	// What is on the branch now is read again: it says by itself what it carries.
	c.sent, c.pushed = nil, changes
	return false, finished, nil
}

// begin looks, before anything is pushed, whether anything will come of it. The way back is pushed
// all the same: what is in Git is what there will be when the resource follows again.
func (d *Driver) begin(ctx context.Context, s state, c *change) error {
	if c.rollback || s.sum == sum(c.files) {
		return nil
	}
	_, err := d.resource.Look(ctx)
	return err
}

// judge decides by what was read whether the call may change the folder, and what is noted of it
// then.
func (d *Driver) judge(ctx context.Context, s state, c *change) (next note, finished bool, err error) {
	if err := errors.Join(d.forgotten(s, c.plan), d.remembers(s, c.plan.Mark)); err != nil {
		return next, false, err
	}
	record, _, err := s.note.Admit(c.key, c.fence, c.digest)
	if err != nil {
		return next, false, err
	}
	if c.files == nil {
		if c.files, c.from, err = d.found(ctx, s, c.digest); err != nil {
			return next, false, err
		}
	}
	wanted := sum(c.files)
	effect := s.note.Key != "" && s.note.Key.Effect() == c.key.Effect() && s.note.Digest == c.digest
	if s.sum != wanted {
		if err := d.mayReplace(ctx, s, c, effect); err != nil {
			return next, false, err
		}
	}
	next = s.note
	next.Record, next.Target, next.Installation, next.Sum = record, d.target, d.installation, wanted
	next.Done = false
	if s.sum != wanted {
		next.Change = fmt.Sprintf("%s on %s", c.key, s.Commit().ID)
		next.Before = past{Digest: s.carries(), Sum: s.sum, Commit: s.Commit().ID}
	}
	next.Serial++
	return next, s.sum == wanted && (effect || c.rollback), nil
}

// mayReplace refuses to replace what somebody else has put there, and what those who approved have
// not seen.
func (d *Driver) mayReplace(ctx context.Context, s state, c *change, effect bool) error {
	switch {
	case s.ours() && c.rollback && s.note.Digest != c.plan.Artifact.Digest:
		return fmt.Errorf("folder %s carries %s, which is neither the release nor what was before it: %w", d.path, s.note.Digest, driver.ErrConflict)
	case !s.ours() && (c.rollback || effect):
		return d.byHand(ctx, s)
	case !s.ours() && s.sum != "" && c.plan.Approved == "" && s.sum != c.plan.Previous:
		return d.byHand(ctx, s)
	case !c.rollback && c.plan.Approved != "":
		shown, err := cluster.Diff(ctx, d.difference(c.plan, s.files, c.files), nil)
		if err != nil {
			return err
		}
		if shown.Digest() == c.plan.Approved {
			return nil
		}
		if !s.ours() {
			return d.byHand(ctx, s)
		}
		return fmt.Errorf("what would change in folder %s is not what was approved: %w", d.path, driver.ErrConflict)
	}
	return nil
}

// byHand is the error that names what somebody else has changed in the folder, and who.
func (d *Driver) byHand(ctx context.Context, s state) error {
	lines, err := d.foreign(ctx, s)
	if err != nil {
		return err
	}
	m := &driver.ManualChange{Object: "folder " + d.path + " of " + d.repo.String()}
	if len(lines) > 0 {
		m.Field, m.Manager = lines[0].file, lines[0].who
	}
	return m
}

// write makes the commit: the files that change, and the record.
func (d *Driver) write(ctx context.Context, s state, n note, c *change) error {
	n.Parent = s.Commit().ID
	w := gitrepo.Write{}
	if s.sum != n.Sum {
		w.Files = make(map[string][]byte)
		for name := range s.files {
			w.Files[d.path+"/"+name] = nil
		}
		for name, text := range c.files {
			if text == nil {
				text = []byte{} // An empty file, and not one to remove.
			}
			w.Files[d.path+"/"+name] = text
		}
		maps.DeleteFunc(w.Files, func(path string, text []byte) bool {
			is, there := s.files[strings.TrimPrefix(path, d.path+"/")]
			return there && text != nil && string(is) == string(text)
		})
	}
	var err error
	if w.Message, err = d.message(s, n, c); err != nil {
		return err
	}
	_, err = s.Write(ctx, w)
	return err
}

// message says what a commit is for.
func (d *Driver) message(s state, n note, c *change) (gitrepo.Message, error) {
	text, err := n.text()
	if err != nil {
		return gitrepo.Message{}, err
	}
	m := gitrepo.Message{Trailers: []gitrepo.Trailer{
		{Name: "Shipwarden-Key", Value: string(n.Key)}, {Name: "Shipwarden-Fence", Value: n.String()}, {Name: Trailer, Value: text},
	}}
	switch {
	case c == nil:
		m.Subject = fmt.Sprintf("Seal target %s", d.target)
		m.Body = "An attempt that has not begun is kept from beginning. No file changes."
	case s.sum == n.Sum:
		m.Subject = fmt.Sprintf("Note who has target %s", d.target)
		m.Body = "The files are there already. No file changes."
	case c.rollback:
		m.Subject = fmt.Sprintf("Take back %s on target %s", printable(version(c.plan.Version, c.plan.Artifact.Digest)), d.target)
		m.Body = fmt.Sprintf("%s has again what it had in commit %s: %s.", d.path, c.from, c.digest)
	default:
		m.Subject = fmt.Sprintf("Release %s to target %s", printable(version(c.plan.Version, c.digest)), d.target)
		m.Body = fmt.Sprintf("Artifact %s, %s.", printable(c.plan.Artifact.Name), c.digest)
	}
	if n.Key == "" { // Sealed before anything ever began.
		m.Trailers = m.Trailers[2:]
	}
	return m, nil
}

// version is what a release is called in the subject of a commit.
func version(version, digest string) string {
	if version == "" {
		return digest
	}
	return version[:min(len(version), 64)]
}

// Running implements driver.Driver: what the folder has, whoever put it there, as soon as the
// cluster has it as well.
func (d *Driver) Running(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	digest, err := d.running(ctx)
	if err != nil {
		return "", fmt.Errorf("ask what target %s carries: %w", d.target, cluster.Told(err))
	}
	return digest, nil
}

func (d *Driver) running(ctx context.Context) (string, error) {
	s, err := d.load(ctx)
	if err != nil || s.sum == "" {
		return "", err
	}
	seen, err := d.resource.Look(ctx)
	if err != nil {
		return "", err
	}
	has, err := d.has(ctx, s, seen.Revision)
	if err == nil && (!has || !seen.Synced) {
		err = fmt.Errorf("%s has not placed what the repository has: %s: %w", d.resource, seen.Message, driver.ErrUnknown)
	}
	return s.carries(), err
}

// settled is the branch, with what the resource says of the newest key.
func (d *Driver) settled(ctx context.Context, key driver.Key) (state, error) {
	s, err := d.load(ctx)
	if err != nil || s.note.Key != key || s.note.Status(key) != driver.StatusStarted || !s.ours() {
		return s, err
	}
	seen, err := d.resource.Look(ctx)
	if err != nil {
		return s, err
	}
	has, err := d.has(ctx, s, seen.Revision)
	s.note.Done = has && seen.Synced && seen.Healthy
	return s, err
}

// Probe implements driver.Driver.
func (d *Driver) Probe(ctx context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	s, err := d.settled(ctx, key)
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, cluster.Told(err))
	}
	return s.note.Status(key), nil
}

// Seal implements driver.Driver.
func (d *Driver) Seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	status, err := d.seal(ctx, key, f)
	if errors.Is(err, gitrepo.ErrUnavailable) || errors.Is(err, gitrepo.ErrUnanswered) {
		err = fmt.Errorf("%w: %w", driver.ErrBusy, err)
	}
	if err != nil {
		return status, fmt.Errorf("seal %s on target %s: %w", key, d.target, cluster.Told(err))
	}
	return status, nil
}

func (d *Driver) seal(ctx context.Context, key driver.Key, f driver.Fence) (driver.Status, error) {
	if err := errors.Join(key.Validate(), f.Validate()); err != nil {
		return driver.StatusUnknown, err
	}
	sent, first := false, driver.StatusUnknown
	for {
		s, err := d.settled(ctx, key)
		if err != nil {
			return driver.StatusUnknown, err
		}
		record, was, err := s.note.Seal(key, f)
		if err != nil || was == driver.StatusDone {
			return was, err
		}
		next := s.note
		next.Record, next.Target, next.Installation = record, d.target, d.installation
		if next.same(s.note) {
			if sent {
				was = first // It is sealed by what this call has pushed.
			}
			return was, nil
		}
		next.Serial++
		if !sent {
			first = was
		}
		err = d.write(ctx, state{Snapshot: s.Snapshot, sum: next.Sum}, next, nil)
		switch {
		case err == nil:
			return was, nil
		case errors.Is(err, gitrepo.ErrUnanswered):
			sent = true
		case errors.Is(err, gitrepo.ErrRaced), errors.Is(err, gitrepo.ErrUnavailable) && ctx.Err() == nil:
		default:
			return driver.StatusUnknown, wrong(err)
		}
		timer := time.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
