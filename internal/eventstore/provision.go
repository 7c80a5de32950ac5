package eventstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ProvisionTimeout bounds Provision where the context has no earlier end.
const ProvisionTimeout = 2 * time.Minute

// Provision makes everything of the topology that is missing, and checks what is
// there. It is the admin step: services have no right to do any of this. It may
// run any number of times, also twice at once. An existing stream whose settings
// would let history be lost or changed is left alone, and the error, which wraps
// ErrTopology, names the stream and every setting that differs. Quota, replicas,
// placement and waiting times follow the topology.
func Provision(ctx context.Context, js jetstream.JetStream, t Topology) error {
	ctx, cancel := context.WithTimeout(ctx, ProvisionTimeout)
	defer cancel()
	for _, cfg := range t.Streams {
		if err := provisionStream(ctx, js, cfg); err != nil {
			return fmt.Errorf("provision stream %s: %w", cfg.Name, err)
		}
	}
	for _, cfg := range t.Objects {
		if err := provisionObjects(ctx, js, cfg); err != nil {
			return fmt.Errorf("provision object store %s: %w", cfg.Bucket, err)
		}
	}
	for _, cfg := range t.Values {
		if err := provisionValues(ctx, js, cfg); err != nil {
			return fmt.Errorf("provision bucket %s: %w", cfg.Bucket, err)
		}
	}
	for _, d := range t.Durables {
		if err := provisionDurable(ctx, js, d); err != nil {
			return fmt.Errorf("provision durable %s on %s: %w", d.Config.Durable, d.Stream, err)
		}
	}
	return nil
}

func provisionStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	existing, err := repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.Stream, error) { return js.Stream(ctx, cfg.Name) })
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		existing, err = createStream(ctx, js, cfg)
	}
	if err != nil {
		return err
	}
	have := existing.CachedInfo().Config
	grown := grow(&have)
	if err := compareStreams(cfg, have); err != nil {
		return err
	}
	if !grown && have.MaxBytes == cfg.MaxBytes && have.Replicas == cfg.Replicas && samePlacement(have.Placement, cfg.Placement) {
		return nil
	}
	have.MaxBytes, have.Replicas, have.Placement = cfg.MaxBytes, cfg.Replicas, cfg.Placement
	_, err = repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.Stream, error) { return js.UpdateStream(ctx, have) })
	return err
}

// later are the kinds of histories that the record did not have in its beginning.
// A stream from then takes them in: nothing that it holds changes by that.
var later = []string{"art.>"}

// grow adds to the record's subjects what came later, and reports whether anything did.
func grow(have *jetstream.StreamConfig) bool {
	if have.Name != StreamEvents {
		return false
	}
	before := len(have.Subjects)
	for _, s := range later {
		if !slices.Contains(have.Subjects, s) {
			have.Subjects = append(slices.Clip(have.Subjects), s)
		}
	}
	return len(have.Subjects) > before
}

// createStream gives REL its epoch. Where another admin step was faster, its
// stream is the one.
func createStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	if cfg.Name == StreamEvents {
		cfg.Metadata = maps.Clone(cfg.Metadata)
		cfg.Metadata[epochKey] = rand.Text()
	}
	return repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.Stream, error) {
		stream, err := js.CreateStream(ctx, cfg)
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return stream, err
		}
		stream, err = js.Stream(ctx, cfg.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			// The cluster has agreed on the name and not yet on the servers.
			return nil, fmt.Errorf("%w: %w", jetstream.ErrNoStreamResponse, err)
		}
		return stream, err
	})
}

func provisionObjects(ctx context.Context, js jetstream.JetStream, cfg jetstream.ObjectStoreConfig) error {
	_, err := repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.ObjectStore, error) {
		return js.CreateOrUpdateObjectStore(ctx, cfg)
	})
	return err
}

func provisionValues(ctx context.Context, js jetstream.JetStream, cfg jetstream.KeyValueConfig) error {
	_, err := repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.KeyValue, error) {
		return js.CreateOrUpdateKeyValue(ctx, cfg)
	})
	return err
}

func provisionDurable(ctx context.Context, js jetstream.JetStream, d Durable) error {
	existing, err := repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.Consumer, error) {
		return js.Consumer(ctx, d.Stream, d.Config.Durable)
	})
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil:
		return err
	default:
		if err := compareDurables(d.Config, existing.CachedInfo().Config); err != nil {
			return err
		}
	}
	_, err = repeat(ctx, provisionTimeout, func(ctx context.Context) (jetstream.Consumer, error) {
		return js.CreateOrUpdateConsumer(ctx, d.Stream, d.Config)
	})
	return err
}
