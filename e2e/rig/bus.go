package rig

import (
	"context"
	"fmt"
	"path/filepath"

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
	r.nats, err = natsserver.Start(ctx, natsserver.Config{
		Name: "shipwarden", StoreDir: filepath.Join(r.cfg.Dir, "bus"), Port: r.cfg.NATSPort, SyncAlways: !r.cfg.Unsafe, Users: users,
	})
	if err != nil {
		return fmt.Errorf("start the bus: %w", err)
	}
	r.undo(r.nats.Shutdown)
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
func (r *Rig) NATSURL() string { return r.nats.ClientURL() }

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
