package config

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/blackdice/shipwarden/internal/bucket"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// user is the name of the executor's connections to buckets.
const user = "executor"

// defaultPatience is how long one call goes on asking where the configuration is silent.
const defaultPatience = 30 * time.Second

// Points are the places at which a crash leaves something different behind, or might, in the
// order in which Apply and Rollback pass them.
var Points = []string{PointRead, PointAdmitted, PointChecked, PointWritten, PointDone}

// The places, one by one.
const (
	PointRead     = "config.read"
	PointAdmitted = "config.admitted"
	PointChecked  = "config.checked"
	PointWritten  = "config.written"
	PointDone     = "config.done"
)

// Options are what a driver needs besides its configuration.
type Options struct {
	// Target is the target's id.
	Target string
	// Now tells the time that commits have. Absent: time.Now.
	Now func() time.Time
	// At is called with each of Points as it is passed, for tests that crash there.
	At func(point string)
}

// Driver places one document. It implements driver.Driver and io.Closer.
type Driver struct {
	target   string
	place    place
	schema   *schema
	patience time.Duration
	at       func(point string)
}

var _ driver.Driver = (*Driver)(nil)

// New checks the configuration, reads the schema, and makes the driver; it reaches nobody.
// The error names every field at fault.
func New(c *configv1.ConfigDriver, o Options) (*Driver, error) {
	d := &Driver{target: o.Target, patience: defaultPatience, at: o.At}
	var problems []error
	var err error
	switch {
	case (c.GetEntry() == nil) == (c.GetFile() == nil):
		problems = append(problems, errors.New("entry: one of entry and file is required, and not both"))
	case c.GetFile() != nil:
		d.place, err = newFile(c.GetFile(), o)
		problems = append(problems, driver.InField("file", err))
	default:
		entry, err := bucket.New(user, c.GetEntry())
		d.place = &inBucket{entry}
		problems = append(problems, driver.InField("entry", err))
	}
	if path := c.GetSchemaFile(); path != "" {
		if d.schema, err = readSchema(path); err != nil {
			problems = append(problems, fmt.Errorf("schema_file: %w", err))
		}
	}
	if c.GetPatience() != nil {
		if d.patience = c.GetPatience().AsDuration(); d.patience <= 0 {
			problems = append(problems, errors.New("patience: must be more than nothing"))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if d.at == nil {
		d.at = func(string) {}
	}
	return d, nil
}

// Close lets go of the connection to the bucket or the repository.
func (d *Driver) Close() error { return d.place.Close() }

// Place tells targets apart: two with the same place would take each other's document.
func (d *Driver) Place() string { return d.place.Place() }

// Class implements driver.Driver.
func (d *Driver) Class() releasev1.DriverClass {
	return releasev1.DriverClass_DRIVER_CLASS_FENCED
}

// Running implements driver.Driver: the digest of the document, whoever wrote it.
func (d *Driver) Running(ctx context.Context) (string, error) {
	ctx, cancel := d.patient(ctx)
	defer cancel()
	digest, err := d.place.running(ctx)
	if err != nil {
		return "", fmt.Errorf("look at target %s: %w", d.target, err)
	}
	return digest, nil
}

// Probe implements driver.Driver.
func (d *Driver) Probe(ctx context.Context, key driver.Key) (driver.Status, error) {
	if err := key.Validate(); err != nil {
		return driver.StatusUnknown, err
	}
	ctx, cancel := d.patient(ctx)
	defer cancel()
	s, err := d.place.load(ctx)
	if err == nil {
		err = s.foreign(d.target)
	}
	if err != nil {
		return driver.StatusUnknown, fmt.Errorf("probe target %s: %w", d.target, err)
	}
	return s.note.Status(key), nil
}

// patient is the context of one call.
func (d *Driver) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d.patience, fmt.Errorf("no answer within %s", d.patience))
}

// check refuses what this driver cannot place.
func check(plan driver.Plan) error {
	if plan.Artifact.Kind != releasev1.ArtifactKind_ARTIFACT_KIND_CONFIGURATION {
		return fmt.Errorf("artifact %s: kind %s, it takes configuration documents: %w", plan.Artifact.Name, plan.Artifact.Kind, driver.ErrUnsupported)
	}
	if _, err := formatOf(plan.Artifact.Location); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", plan.Artifact.Name, driver.ErrUnsupported, err)
	}
	if _, err := artifact.Hex(plan.Artifact.Digest); err != nil {
		return fmt.Errorf("artifact %s: %w: %w", plan.Artifact.Name, driver.ErrInvalid, err)
	}
	return nil
}
