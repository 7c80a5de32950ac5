package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/internal/natsserver"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Users of the bus besides the services.
const (
	// UserCI may ask for releases and hear the answers.
	UserCI = "ci"
	// UserObserver may read every event, and write nothing.
	UserObserver = "observer"
	// userAdmin makes streams, and is used for nothing else.
	userAdmin = "admin"
)

// bus starts the server and makes what the services need on it.
func (r *Rig) bus(ctx context.Context) error {
	users, err := r.users()
	if err != nil {
		return err
	}
	cfg := natsserver.Config{
		Name: "shipwarden", StoreDir: filepath.Join(r.cfg.Dir, "bus"), Port: r.cfg.NATSPort, SyncAlways: !r.cfg.Unsafe, Users: users,
	}
	if r.cfg.BusProgram == "" {
		err = r.busWithin(ctx, cfg)
	} else {
		err = r.busApart(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("start the bus: %w", err)
	}
	conn, err := r.Connect(userAdmin)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	topology := eventstore.NewTopology(1, 0)
	if r.cfg.AckWait > 0 {
		topology = topology.WithAckWait(r.cfg.AckWait)
	}
	if err := eventstore.Provision(ctx, js, topology); err != nil {
		return fmt.Errorf("make the streams: %w", err)
	}
	return nil
}

// busWithin runs the server in this process.
func (r *Rig) busWithin(ctx context.Context, cfg natsserver.Config) error {
	server, err := natsserver.Start(ctx, cfg)
	if err != nil {
		return err
	}
	r.undo(server.Shutdown)
	r.natsURL, r.synced = server.ClientURL(), server.SyncAlways()
	return nil
}

// busApart runs the server as a process of its own, and returns when clients can connect.
func (r *Rig) busApart(ctx context.Context, cfg natsserver.Config) error {
	address, err := r.address(cfg.Port)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if cfg.Port, err = strconv.Atoi(port); err != nil {
		return err
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return err
	}
	file := r.secretFile("bus.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	r.natsURL = "nats://" + address
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(running, r.cfg.BusProgram, "-config", file) //nolint:gosec // Our own program.
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = busStops
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	r.BusPID = cmd.Process.Pid
	ended := make(chan struct{})
	var how error
	go func() {
		defer close(ended)
		how = cmd.Wait()
	}()
	for {
		conn, err := r.Connect(userAdmin)
		if err == nil {
			conn.Close()
			r.undo(func() { cancel(); <-ended })
			return nil
		}
		select {
		case <-ended:
			cancel()
			return fmt.Errorf("%s ended: %w", r.cfg.BusProgram, how)
		case <-ctx.Done():
			cancel()
			<-ended
			return errors.Join(ctx.Err(), err)
		case <-time.After(busLook):
		}
	}
}

const (
	// busStops is how long the server may take to stop before it is killed.
	busStops = 30 * time.Second
	// busLook is how long the rig waits before it tries again to connect to it.
	busLook = 20 * time.Millisecond
)

func (r *Rig) users() ([]natsserver.User, error) {
	all := []natsserver.User{
		{Name: userAdmin},
		// Requests go where the subject says, and answers are heard; the inbox is for
		// the server's own answers.
		{Name: UserCI, Publish: []string{"request.>", "$JS.API.STREAM.INFO.ANSWERS", "$JS.API.DIRECT.GET.ANSWERS.>", "$JS.API.STREAM.MSG.GET.ANSWERS", "$JS.API.CONSUMER.CREATE.ANSWERS.>"}, Subscribe: []string{"answer.>", "_INBOX.>"}},
		{Name: UserObserver, Publish: []string{"$JS.API.INFO"}, Subscribe: []string{"rel.>", "tgt.>", "svc.>", "req.>", "pol.>", "art.>", "answer.>", "_INBOX.>"}},
	}
	for _, name := range services {
		rights := eventstore.RightsOf(name)
		all = append(all, natsserver.User{Name: name, Publish: rights.Publish, Subscribe: rights.Subscribe})
	}
	for i := range all {
		password, err := secret(r.passwordFile(all[i].Name))
		if err != nil {
			return nil, err
		}
		all[i].Password = password
	}
	return all, nil
}

func (r *Rig) passwordFile(user string) string { return r.secretFile("nats-" + user + ".password") }

// PasswordFile is where the password of a user of the bus lies.
func (r *Rig) PasswordFile(user string) string { return r.passwordFile(user) }

// NATSURL is the address of the bus.
func (r *Rig) NATSURL() string { return r.natsURL }

// Connect connects to the bus as one of its users.
func (r *Rig) Connect(user string) (*nats.Conn, error) {
	password, err := secret(r.passwordFile(user))
	if err != nil {
		return nil, err
	}
	return nats.Connect(r.NATSURL(), nats.UserInfo(user, password), nats.Name("rig-"+user))
}

func (r *Rig) natsConfig(user string) *configv1.Nats {
	return &configv1.Nats{Urls: []string{r.NATSURL()}, User: user, PasswordFile: r.passwordFile(user)}
}
