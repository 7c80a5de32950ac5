package target

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/blackdice/shipwarden/internal/bucket"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

var (
	// ErrConfig means that the configuration of a target cannot be used.
	ErrConfig = errors.New("target configuration")
	// ErrPath means that a path is not one below the target's base URL.
	ErrPath = errors.New("not a path below the base URL")
	// ErrNoAnswer means that the target was asked and did not answer as a working
	// service does: it refused or cut the connection, or let the time pass.
	ErrNoAnswer = errors.New("no answer from the target")
	// ErrNotSeen means that the target could not be asked, or that its answer could
	// not be taken in, so that nothing is known.
	ErrNotSeen = errors.New("target not seen")
)

// Target is one target and where it is looked at. It is safe for concurrent use.
type Target struct {
	id         string
	base       *url.URL
	http, tcp  dial.Address
	digestPath string
	// entry is the document that the target is; nil where it is none.
	entry     *bucket.Entry
	grpc, tls dial.Address
	plaintext bool
	dns       dial.Address
	zones     []string
	// cluster is the name of the cluster in whose namespace the target is; "" where it is in none.
	cluster, namespace string
	// secure is whom to trust, and what to show; nil where nothing is configured.
	secure *tls.Config
	// Resolver finds the addresses of names. Nil means the system's.
	resolver *net.Resolver
}

// New reads the configuration of one target. The resolver may be nil, which means the
// system's. The error is an ErrConfig that names the field; several wrong fields are
// named at once.
func New(c *configv1.TargetAddress, resolver *net.Resolver) (*Target, error) {
	t := &Target{id: c.GetTarget(), digestPath: c.GetDigestPath(), resolver: resolver}
	var wrong []error
	fault := func(field string, err error) {
		wrong = append(wrong, fmt.Errorf("%w: target %q: %s: %w", ErrConfig, t.id, field, err))
	}
	if t.id == "" {
		fault("target", errors.New("required"))
	}
	if c.GetBaseUrl() != "" {
		base, address, err := dial.ParseBase(c.GetBaseUrl())
		if err != nil {
			fault("base_url", err)
		}
		t.base, t.http = base, address
	}
	if c.GetTcpAddress() != "" {
		address, err := dial.ParseAddress(c.GetTcpAddress())
		if err != nil {
			fault("tcp_address", err)
		}
		t.tcp = address
	}
	t.readMore(c, fault)
	if t.digestPath != "" {
		if t.base == nil {
			fault("digest_path", errors.New("needs a base_url"))
		} else if _, err := t.URL(t.digestPath); err != nil {
			fault("digest_path", err)
		}
	}
	if c.GetConfig() != nil {
		entry, err := bucket.New(user, c.GetConfig())
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				fault("config", e)
			}
		}
		if t.digestPath != "" {
			fault("config", errors.New("tells what the target runs, and so does digest_path: one of them"))
		}
		t.entry = entry
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return t, nil
}

// user is the name of the validator's connections to buckets.
const user = "validator"

// Close lets go of the connection to the bucket of a document.
func (t *Target) Close() {
	if t.entry != nil {
		_ = t.entry.Close()
	}
}

// ID returns the target's id in the procedure document.
func (t *Target) ID() string { return t.id }

// BaseURL returns the configured base of the HTTP checks, or "" where there is none.
func (t *Target) BaseURL() string {
	if t.base == nil {
		return ""
	}
	return t.base.String()
}

// TCPAddress returns the configured address of the TCP checks as host:port, or ""
// where there is none.
func (t *Target) TCPAddress() string {
	if t.tcp == (dial.Address{}) {
		return ""
	}
	return t.tcp.String()
}

// DigestPath returns the path at which the target tells what it runs, or "".
func (t *Target) DigestPath() string { return t.digestPath }

// Tells reports whether the target has a way of telling what it runs; where not, RunningDigest is
// ErrNoDigest.
func (t *Target) Tells() bool { return t.entry != nil || t.digestPath != "" }

// Entry returns the bucket and the key of the document that the target is, or "".
func (t *Target) Entry() string {
	if t.entry == nil {
		return ""
	}
	return t.entry.String()
}

// Kubernetes returns the name of the cluster and the namespace that the target is, or "".
func (t *Target) Kubernetes() (cluster, namespace string) { return t.cluster, t.namespace }

// Dial opens a connection to the configured address of the TCP checks. The errors are
// ErrNoAnswer and ErrNotSeen.
func (t *Target) Dial(ctx context.Context) (net.Conn, error) {
	return t.connect(ctx, t.tcp, "tcp_address")
}

// connect opens a connection to a configured address, which is missing where it is zero.
func (t *Target) connect(ctx context.Context, to dial.Address, field string) (net.Conn, error) {
	if to == (dial.Address{}) {
		return nil, fmt.Errorf("%w: %q has no %s", ErrNotSeen, t.id, field)
	}
	pinned, err := to.Pin(ctx, t.resolver)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSeen, err)
	}
	conn, err := pinned.Connect(ctx)
	if err != nil {
		return nil, explain(ctx, err)
	}
	return conn, nil
}
