package gitops

import (
	"context"
	"fmt"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

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
