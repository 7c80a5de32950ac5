package natsserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// RandomPort asks the kernel for a free port where zero means "off".
	RandomPort = -1
	// DefaultMaxPayload is the largest message in bytes that the server takes:
	// twice the largest event, so that a batch header or a reply still fits.
	DefaultMaxPayload = 128 << 10
	// DefaultHost is the address listened on when none is configured.
	DefaultHost = "127.0.0.1"
	// tlsHandshakeSeconds is how long a client may take for its TLS handshake.
	tlsHandshakeSeconds = 5
	// DefaultReadyTimeout bounds Start and WaitReady where their context has no deadline.
	DefaultReadyTimeout = 30 * time.Second
)

// Config says how one server runs. Its zero value plus a StoreDir is a single
// server on a random loopback port, open to every local client, whose stream
// data may be lost at a power cut; anything that keeps a record sets SyncAlways.
type Config struct {
	// Name identifies the server in logs and, within a cluster, to its peers,
	// where it must be unique and stay the same over restarts.
	Name string
	// StoreDir holds the streams. Required; created when missing.
	StoreDir string
	// Host is the client listen address. Empty means DefaultHost.
	Host string
	// Port is the client port. Zero means a free one.
	Port int
	// MonitorPort serves nats-server's own HTTP monitoring, always on loopback.
	// Zero means off, RandomPort a free one.
	MonitorPort int
	// SyncAlways makes every acknowledged publish survive a power cut.
	SyncAlways bool
	// MaxPayload is the largest message in bytes. Zero means DefaultMaxPayload.
	MaxPayload int32
	// MaxFileStore bounds the bytes of all streams on disk. Zero lets the server
	// take three quarters of the free disk.
	MaxFileStore int64
	// Users are the identities that may connect. None means anyone may.
	Users []User
	// Cluster joins the server to others. Nil means it stands alone.
	Cluster *Cluster
	// TLS protects client connections. Nil means plain text.
	TLS *tls.Config `json:"-"`
	// Log receives the server's own messages. Nil means none.
	Log *slog.Logger `json:"-"`
	// ConfigFile is a file in nats-server's own format that the other fields are
	// laid over: the place for accounts with their exports and imports.
	ConfigFile string
}

// User is one identity with its allow lists. An empty list allows nothing; a nil
// list allows everything, which suits an administrator only.
type User struct {
	Name     string
	Password string
	// Publish and Subscribe are the allowed subjects; wildcards are possible.
	Publish, Subscribe []string
	// Respond lets the user answer a request that it received, once.
	Respond bool
}

// Cluster says how a server finds its peers. Every server of a JetStream cluster
// needs routes to the others, or it cannot tell how many votes make a majority.
type Cluster struct {
	Name   string
	Host   string
	Port   int
	Routes []string
}

var (
	// ErrNoStoreDir means that Config.StoreDir is empty.
	ErrNoStoreDir = errors.New("store directory is not set")
	// ErrNotReady means that the server did not become usable in time.
	ErrNotReady = errors.New("nats server is not ready")
	// ErrDuplicateUser means that two users have the same name.
	ErrDuplicateUser = errors.New("user is configured twice")
)

// options translates the configuration into nats-server's own form.
func (c Config) options() (*server.Options, error) {
	if c.StoreDir == "" {
		return nil, ErrNoStoreDir
	}
	opts := &server.Options{}
	if c.ConfigFile != "" {
		if err := opts.ProcessConfigFile(c.ConfigFile); err != nil {
			return nil, fmt.Errorf("read nats configuration: %w", err)
		}
	}
	opts.ServerName = orDefault(c.Name, opts.ServerName)
	opts.Host = orDefault(c.Host, DefaultHost)
	opts.Port = orDefault(c.Port, RandomPort)
	opts.MaxPayload = orDefault(c.MaxPayload, DefaultMaxPayload)
	// The process owns its signals, and its log.
	opts.NoSigs = true
	opts.NoLog = c.Log == nil
	opts.JetStream = true
	opts.StoreDir = c.StoreDir
	opts.SyncAlways = c.SyncAlways
	opts.JetStreamMaxStore = c.MaxFileStore
	if c.TLS != nil {
		opts.TLS = true
		opts.TLSConfig = c.TLS
		opts.TLSTimeout = tlsHandshakeSeconds
		opts.TLSVerify = c.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	}
	if c.SyncAlways {
		// Streams that must not lose data ask for this tag in their placement.
		opts.Tags.Add("sync:always")
	}
	if c.MonitorPort != 0 {
		opts.HTTPHost = "127.0.0.1"
		opts.HTTPPort = c.MonitorPort
	}
	if err := c.addUsers(opts); err != nil {
		return nil, err
	}
	if err := c.addCluster(opts); err != nil {
		return nil, err
	}
	return opts, nil
}

// addUsers turns the users into nats-server users.
func (c Config) addUsers(opts *server.Options) error {
	seen := map[string]bool{}
	for _, user := range c.Users {
		if seen[user.Name] {
			return fmt.Errorf("user %q: %w", user.Name, ErrDuplicateUser)
		}
		seen[user.Name] = true
		out := &server.User{Username: user.Name, Password: user.Password}
		if user.Publish != nil || user.Subscribe != nil || user.Respond {
			out.Permissions = &server.Permissions{
				Publish:   allowOnly(user.Publish),
				Subscribe: allowOnly(user.Subscribe),
			}
			if user.Respond {
				out.Permissions.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: time.Minute}
			}
		}
		opts.Users = append(opts.Users, out)
	}
	return nil
}

// allowOnly allows exactly the subjects given. nats-server reads an empty allow
// list as "everything", so an empty one becomes "deny all" here.
func allowOnly(subjects []string) *server.SubjectPermission {
	switch {
	case subjects == nil:
		return nil
	case len(subjects) == 0:
		return &server.SubjectPermission{Deny: []string{">"}}
	default:
		return &server.SubjectPermission{Allow: subjects}
	}
}

// addCluster fills in the route settings.
func (c Config) addCluster(opts *server.Options) error {
	if c.Cluster == nil {
		return nil
	}
	opts.Cluster = server.ClusterOpts{
		Name: c.Cluster.Name,
		Host: orDefault(c.Cluster.Host, DefaultHost),
		Port: orDefault(c.Cluster.Port, RandomPort),
	}
	for _, route := range c.Cluster.Routes {
		parsed, err := url.Parse(route)
		if err != nil {
			return fmt.Errorf("cluster route: %w", err)
		}
		opts.Routes = append(opts.Routes, parsed)
	}
	return nil
}

// orDefault returns value unless it is the zero value.
func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
