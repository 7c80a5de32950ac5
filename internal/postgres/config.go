package postgres

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"
)

const (
	// Superuser is the database role that DSN connects as.
	Superuser = "shipwarden"
	// DefaultStartTimeout bounds Start, making the cluster included.
	DefaultStartTimeout = 60 * time.Second
	// socketPort is part of the socket's file name only.
	socketPort = 5432
	// maxSocketPath is the shortest limit of the supported systems, in bytes.
	maxSocketPath = 103
)

var (
	// ErrInUse means that another server runs on the same directory.
	ErrInUse = errors.New("data directory is in use")
	// ErrNotLoopback means that Config.Listen names an address of a network.
	ErrNotLoopback = errors.New("listen address is not loopback")
	// ErrUnreachable means that the user who must run postgres cannot enter a
	// directory on the way to its files.
	ErrUnreachable = errors.New("directory is closed to the user who runs postgres")
	// ErrVersion means that the data was written by another major version than
	// every installed one.
	ErrVersion = errors.New("data directory belongs to another PostgreSQL version")
	// ErrStart means that postgres ended or did not answer in time; the error
	// that wraps it quotes the end of its log.
	ErrStart = errors.New("postgres did not start")
)

// Config says where and how the private cluster runs.
type Config struct {
	// Dir holds everything. Required; created when missing, its parent must
	// exist. The layout is in the package comment.
	Dir string
	// Bin is the directory of initdb and postgres. Empty means Find's order.
	Bin string
	// Listen is a loopback host:port; port 0 means a free one. Empty means no
	// TCP at all, only the Unix socket.
	Listen string
	// Durable keeps every committed transaction over a power cut. Without it
	// postgres never waits for the disk, which suits tests only.
	Durable bool
	// MaxConnections bounds the clients. Zero means 100.
	MaxConnections int
	// StartTimeout bounds Start. Zero means DefaultStartTimeout.
	StartTimeout time.Duration
}

func (c Config) dataDir() string      { return filepath.Join(c.Dir, "data") }
func (c Config) passwordFile() string { return filepath.Join(c.Dir, "password") }
func (c Config) logFile() string      { return filepath.Join(c.Dir, "postgres.log") }

// hostPort splits Listen and makes sure that it stays on this machine.
func (c Config) hostPort() (host string, port int, err error) {
	host, text, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", 0, fmt.Errorf("listen address %q: %w", c.Listen, err)
	}
	ip := net.ParseIP(host)
	if ip == nil || !ip.IsLoopback() {
		return "", 0, fmt.Errorf("listen address %q: %w", c.Listen, ErrNotLoopback)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("listen address %q: port is not a number up to 65535", c.Listen)
	}
	if port > 0 {
		return host, port, nil
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: ip})
	if err != nil {
		return "", 0, fmt.Errorf("find a free port at %s: %w", host, err)
	}
	defer func() { _ = listener.Close() }()
	_, text, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", 0, fmt.Errorf("find a free port at %s: %w", host, err)
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

// settings are the server parameters, given on the command line so that they
// hold whatever postgresql.conf says.
func (c Config) settings(socketDir, host string, port int) []string {
	maxConnections := c.MaxConnections
	if maxConnections == 0 {
		maxConnections = 100
	}
	onOff := "off"
	if c.Durable {
		onOff = "on"
	}
	pairs := []string{
		"cluster_name=" + clusterName,
		"unix_socket_directories=" + socketDir,
		"unix_socket_permissions=0700",
		"listen_addresses=" + host,
		"port=" + strconv.Itoa(port),
		"max_connections=" + strconv.Itoa(maxConnections),
		"password_encryption=scram-sha-256",
		"timezone=UTC",
		"log_timezone=UTC",
		"fsync=" + onOff,
		"synchronous_commit=" + onOff,
		"full_page_writes=" + onOff,
	}
	var args []string
	for _, pair := range pairs {
		args = append(args, "-c", pair)
	}
	return args
}
