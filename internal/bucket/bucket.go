package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blackdice/shipwarden/internal/outward"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

var (
	// ErrUnavailable says that the server did not answer in time. Nothing was written.
	ErrUnavailable = errors.New("the bucket's server does not answer")
	// ErrUnanswered says that a value was sent and no answer came: it is written, or will
	// be, or not. Reading tells, as soon as somebody has written after it.
	ErrUnanswered = errors.New("the bucket's server did not answer to a write")
	// ErrRaced says that somebody else wrote the entry since it was read. Nothing was written.
	ErrRaced = errors.New("the entry was written by somebody else")
	// ErrRefused says that the server refuses what was asked. Nothing was written.
	ErrRefused = errors.New("the bucket's server refuses")
	// ErrNoBucket says that there is no such bucket.
	ErrNoBucket = errors.New("there is no such bucket")
	// ErrName says that the name of a bucket or a key cannot be one.
	ErrName = errors.New("not a name")
)

var (
	bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)
	keyName    = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+([.][-/_=a-zA-Z0-9]+)*$`)
)

// maxKey bounds a key, in bytes.
const maxKey = 256

// Entry is one key of one bucket. It connects when it is first used, and keeps the connection
// until Close. Its methods may be called from several goroutines.
type Entry struct {
	user        string
	nats        *configv1.Nats
	bucket, key string

	mu      sync.Mutex
	conn    *nats.Conn
	dialing *dialing
	closed  bool
}

// dialing is an attempt to connect, for which all wait who need it.
type dialing struct {
	done chan struct{}
	err  error // as soon as done is closed
}

// New checks the names and makes the entry; it reaches nobody. The user is the service's
// name, by which the server knows the connection and its inbox. The error names every field
// at fault.
func New(user string, c *configv1.ConfigEntry) (*Entry, error) {
	var wrong []error
	if len(c.GetNats().GetUrls()) == 0 {
		wrong = append(wrong, errors.New("nats.urls: required"))
	}
	if !bucketName.MatchString(c.GetBucket()) {
		wrong = append(wrong, fmt.Errorf("bucket: %w: letters, digits, - and _, at most 128", ErrName))
	}
	if !keyName.MatchString(c.GetKey()) || len(c.GetKey()) > maxKey {
		wrong = append(wrong, fmt.Errorf("key: %w: letters, digits and -/_= in parts that are separated by dots, at most %d", ErrName, maxKey))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return &Entry{user: user, nats: c.GetNats(), bucket: c.GetBucket(), key: c.GetKey()}, nil
}

// String names the entry for people: the bucket and the key.
func (e *Entry) String() string { return e.bucket + "/" + e.key }

// Subject is the subject under which the entry is kept.
func (e *Entry) Subject() string { return "$KV." + e.bucket + "." + e.key }

// Place tells entries apart: two with the same place are one, whoever configured them.
func (e *Entry) Place() string {
	return strings.Join(e.nats.GetUrls(), ",") + " " + e.Subject()
}

func (e *Entry) stream() string { return "KV_" + e.bucket }

// Close lets go of the connection. The entry cannot be used again.
func (e *Entry) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.conn != nil {
		e.conn.Close()
	}
	return nil
}

// dialer connects to nowhere where nobody may be called (package outward).
type dialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

const dialTimeout = 5 * time.Second

func (d dialer) Dial(network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	return d.dial(ctx, network, address)
}

// connected is the connection, which is made at the first call. Nobody waits for it longer than
// his context lasts; whoever comes next has it.
func (e *Entry) connected(ctx context.Context) (*nats.Conn, error) {
	for {
		conn, attempt, err := e.dialed(ctx)
		if conn != nil || err != nil {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("entry %s: %w: %w", e, ErrUnavailable, context.Cause(ctx))
		case <-attempt.done:
			if attempt.err != nil {
				return nil, fmt.Errorf("entry %s: %w", e, attempt.err)
			}
		}
	}
}

// dialed is the connection, or the attempt to make it, which is begun.
func (e *Entry) dialed(ctx context.Context) (*nats.Conn, *dialing, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, nil, fmt.Errorf("entry %s: %w: it is closed", e, ErrUnavailable)
	}
	if e.conn == nil && e.dialing == nil {
		e.dialing = &dialing{done: make(chan struct{})}
		go e.connect(context.WithoutCancel(ctx), e.dialing)
	}
	return e.conn, e.dialing, nil
}

func (e *Entry) connect(ctx context.Context, attempt *dialing) {
	conn, err := service.ConnectNATS(ctx, e.user, e.nats,
		nats.SetCustomDialer(dialer{outward.DialContext(dialTimeout)}),
		// The dialer judges the name as it is configured, and what it leads to.
		nats.SkipHostLookup(),
		// What is sent while nobody is there must not be sent when nobody waits for it any more.
		nats.ReconnectBufSize(-1),
	)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dialing, attempt.err = nil, err
	switch {
	case err == nil && e.closed:
		conn.Close()
	case err == nil:
		e.conn = conn
	}
	close(attempt.done)
}
