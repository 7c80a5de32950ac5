package kubernetes

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// kept names the manifests that were placed with a digest, as the namespace keeps them.
func kept(digest string) cluster.Kept {
	return cluster.Kept{Digest: digest, Called: "manifests.json.gz", What: "its manifests"}
}

// keep keeps the set in the namespace, so that it can be placed again whatever becomes of
// where it came from.
func (d *Driver) keep(ctx context.Context, c *cluster.Server, digest, version string, s cluster.Set) error {
	k := kept(digest)
	text, err := s.Encode()
	k.Version, k.Text = version, text
	if err != nil {
		return err
	}
	return d.Keep(ctx, c, k)
}

// kept is a set that was placed before, and its version. Errors wrap driver.ErrNoWayBack where
// it is not there, or not as it was.
func (d *Driver) kept(ctx context.Context, c *cluster.Server, digest string) (s cluster.Set, version string, err error) {
	k, err := d.Find(ctx, c, kept(digest))
	if err != nil {
		return nil, "", err
	}
	if s, err = cluster.Decode(k.Text); err != nil {
		return nil, "", fmt.Errorf("its manifests: %w: %w", driver.ErrNoWayBack, err)
	}
	return s, k.Version, nil
}
