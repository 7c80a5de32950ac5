package helm

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

var _ driver.Inspector = (*Driver)(nil)

// Inspect implements driver.Inspector: what is there is held to the revision of Helm's that the
// record says was ready. A revision that somebody else made is a change as well.
func (d *Driver) Inspect(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, cluster.LookTime)
	defer cancel()
	lines, err := d.inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("look at what was changed on target %s: %w", d.Target, cluster.Told(err))
	}
	return lines, nil
}

func (d *Driver) inspect(ctx context.Context) ([]string, error) {
	s, err := d.Open()
	if err != nil {
		return nil, err
	}
	r, err := d.Load(ctx, s)
	if err != nil {
		return nil, err
	}
	if r.Pending {
		return nil, fmt.Errorf("%s has begun and is not complete: %w", r.Key, driver.ErrUnknown)
	}
	if r.Carries == "" {
		return nil, nil
	}
	all, err := d.revisions(ctx, s)
	if errors.Is(err, driver.ErrConflict) {
		return []string{"release " + d.release + ": somebody else has made a revision of it"}, nil
	}
	if err != nil {
		return nil, err
	}
	number := d.revisionOf(all, r, r.Carries)
	if number == 0 {
		return []string{"release " + d.release + ": the revision that was placed is not in its history any more"}, nil
	}
	helm, err := d.through(ctx, &gate{server: s})
	if err != nil {
		return nil, err
	}
	placed, err := of(helm, d.release, number)
	if err != nil {
		return nil, fmt.Errorf("read revision %d: %w", number, err)
	}
	c, err := d.contentOf(placed, nil)
	if err != nil {
		return nil, errors.New("what was placed cannot be read") // Its words may have a value.
	}
	return d.Namespace.Inspect(ctx, s, c.objects, d.tolerated)
}
