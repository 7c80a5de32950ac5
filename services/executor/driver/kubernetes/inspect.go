package kubernetes

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

var _ driver.Inspector = (*Driver)(nil)

// Inspect implements driver.Inspector: what is there is held to the manifests that are kept for
// the way back.
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
	c, err := d.Open()
	if err != nil {
		return nil, err
	}
	r, err := d.Load(ctx, c)
	if err != nil {
		return nil, err
	}
	if r.Pending {
		return nil, fmt.Errorf("%s has begun and is not complete: %w", r.Key, driver.ErrUnknown)
	}
	var placed cluster.Set
	if r.Carries != "" {
		placed, _, err = d.kept(ctx, c, r.Carries)
		if errors.Is(err, driver.ErrNoWayBack) {
			return []string{"what is kept for the way back is not there, or not as it was placed"}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return d.Namespace.Inspect(ctx, c, placed, d.tolerated)
}
