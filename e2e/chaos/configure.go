package chaos

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// people are those who have a token.
var people = []string{"alice", "bob", "carol", "dave", "erin", "frank"}

// commandTime is how long a command may take: a third of what the procedure document
// gives an execution, and none is begun with less left.
const commandTime = 5 * time.Second

func (p *plant) configFile(name string, i int) string {
	return filepath.Join(p.dir, "config", fmt.Sprintf("%s-%d.yaml", name, i))
}

func (p *plant) secretFile(name string) string { return filepath.Join(p.dir, "secrets", name) }

// secrets makes a password for every user of the bus and a token for every person.
func (p *plant) secrets() error {
	for _, sub := range []string{"secrets", "config", "bus"} {
		if err := os.MkdirAll(filepath.Join(p.dir, sub), 0o755); err != nil {
			return err
		}
	}
	p.passwords = map[string]string{}
	for _, user := range append([]string{userChaos}, services...) {
		p.passwords[user] = rand.Text()
		if err := os.WriteFile(p.secretFile(user+".password"), []byte(p.passwords[user]), 0o600); err != nil {
			return err
		}
	}
	for _, person := range people {
		if err := os.WriteFile(p.secretFile(person+".token"), []byte(rand.Text()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// keyring makes the services' keys and returns the ring of their public halves.
func (p *plant) keyring() (*configv1.Keyring, error) {
	ring := &configv1.Keyring{}
	for _, name := range services {
		key, err := rig.Key(p.secretFile(name + ".pem"))
		if err != nil {
			return nil, err
		}
		ring.Keys = append(ring.Keys, &configv1.WriterKey{Id: name + "-1", Writer: name, Ed25519: rig.Public(key)})
	}
	return ring, nil
}

func (p *plant) tokens() (*configv1.Tokens, error) {
	all := &configv1.Tokens{}
	for _, person := range people {
		text, err := os.ReadFile(p.secretFile(person + ".token"))
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		all.Tokens = append(all.Tokens, &configv1.Token{Sha256: hex.EncodeToString(sum[:]), Person: person})
	}
	return all, nil
}

// configure writes a configuration file for every process.
func (p *plant) configure() error {
	ring, err := p.keyring()
	if err != nil {
		return err
	}
	tokens, err := p.tokens()
	if err != nil {
		return err
	}
	p.world.freeze = time.Now().Add(p.world.long)
	document, err := p.world.procedure()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "config", "procedure.yaml"), document, 0o600); err != nil {
		return err
	}
	for _, hook := range []string{"chat", "hook"} {
		if err := os.WriteFile(p.secretFile(hook+".url"), []byte(p.world.base+"/"+hook), 0o600); err != nil {
			return err
		}
	}
	files := map[string]proto.Message{
		filepath.Join(p.dir, "config", "keyring.yaml"): ring,
		filepath.Join(p.dir, "config", "tokens.yaml"):  tokens,
	}
	p.services = map[string][]*process{}
	p.addresses = map[string]string{}
	for _, name := range services {
		for i := range instances {
			if files[p.configFile(name, i)], err = p.configOf(name, i); err != nil {
				return err
			}
		}
	}
	for file, m := range files {
		out, err := protoyaml.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, out, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (p *plant) httpAddress(name string, i int) string {
	return p.addresses[fmt.Sprintf("%s-%d", name, i)]
}

func (p *plant) configOf(name string, i int) (proto.Message, error) {
	listen, err := p.address()
	if err != nil {
		return nil, err
	}
	p.addresses[fmt.Sprintf("%s-%d", name, i)] = listen
	common := &configv1.Common{
		Nats:        p.bus(name),
		SigningKey:  &configv1.SigningKey{Id: name + "-1", File: p.secretFile(name + ".pem")},
		KeyringFile: filepath.Join(p.dir, "config", "keyring.yaml"), HttpListen: listen,
		Log: &configv1.Log{Level: configv1.Log_LEVEL_INFO, Text: true}, AckWait: durationpb.New(p.ackWait), Workers: 8,
	}
	artifacts := filepath.Join(p.dir, "artifacts")
	serve, err := p.address()
	if err != nil {
		return nil, err
	}
	tokens := filepath.Join(p.dir, "config", "tokens.yaml")
	switch name {
	case procedure.ServiceApproval:
		p.grpc = append(p.grpc, serve)
		return &configv1.Approval{
			Common: common, Grpc: &configv1.Grpc{Listen: serve}, TokensFile: tokens,
			ProcedureFile: filepath.Join(p.dir, "config", "procedure.yaml"), ActivateFirst: true,
			AlertSources: p.alertSources(), ChangeConnectors: p.changeConnectors(),
			Channels: []*configv1.ChannelAddress{
				{Channel: "chat", Kind: configv1.ChannelAddress_KIND_SLACK, UrlFile: p.secretFile("chat.url")},
				{Channel: "hook", Kind: configv1.ChannelAddress_KIND_WEBHOOK, UrlFile: p.secretFile("hook.url")},
			},
		}, nil
	case procedure.ServiceValidator:
		return &configv1.Validator{Common: common, ArtifactFolder: artifacts, Targets: p.places()}, nil
	case procedure.ServiceExecutor:
		return &configv1.Executor{
			Common: common, ArtifactFolder: artifacts, Targets: p.drivers(), StateFolder: filepath.Join(p.dir, "executors"),
			AlertSources: p.alertSources(), ChangeConnectors: p.changeConnectors(),
		}, nil
	}
	return &configv1.Recorder{
		Common: common, Grpc: &configv1.Grpc{Listen: serve}, DatabaseUrlFile: p.secretFile("database.url"), TokensFile: tokens,
	}, nil
}

func (p *plant) alertSources() []*configv1.AlertSource {
	return []*configv1.AlertSource{{
		Name: "alertmanager", Kind: configv1.AlertSource_KIND_ALERTMANAGER, Url: p.world.base + "/alertmanager",
	}}
}

func (p *plant) changeConnectors() []*configv1.ChangeConnector {
	return []*configv1.ChangeConnector{{
		Name: "changes", Url: p.world.base + "/itsm/changes/{id}",
		Fields: &configv1.RecordFields{Id: "/key", State: "/state", WindowStart: "/start", WindowEnd: "/end"},
	}}
}

// bus is how a service reaches the bus.
func (p *plant) bus(service string) *configv1.Nats {
	return &configv1.Nats{
		Urls: []string{fmt.Sprintf("nats://127.0.0.1:%d", p.natsPort)}, User: service, PasswordFile: p.secretFile(service + ".password"),
	}
}

// entry is a target of the config driver. Its bucket is on the server of the bus, so that
// whatever kills the one takes the other away in the middle of a change.
func (p *plant) entry(t targetPlan, service string) *configv1.ConfigEntry {
	return &configv1.ConfigEntry{Nats: p.bus(service), Bucket: bucket, Key: t.ID}
}

func (p *plant) places() []*configv1.TargetAddress {
	var all []*configv1.TargetAddress
	for _, t := range p.world.plan.Targets {
		address := &configv1.TargetAddress{Target: t.ID, BaseUrl: p.world.base + "/" + t.ID, DigestPath: "/digest"}
		if t.Kind == kindConfig {
			// What runs there is asked of the bucket itself.
			address.DigestPath, address.Config = "", p.entry(t, procedure.ServiceValidator)
		}
		all = append(all, address)
	}
	return all
}

func (p *plant) drivers() []*configv1.TargetDriver {
	var all []*configv1.TargetDriver
	for _, t := range p.world.plan.Targets {
		d := &configv1.TargetDriver{Target: t.ID}
		switch t.Kind {
		case kindHost:
			d.Driver = &configv1.TargetDriver_Host{Host: &configv1.HostDriver{
				Folder: filepath.Join(p.dir, "hosts", t.ID), Restart: &configv1.Command{Argv: []string{
					filepath.Join(p.dir, "bin", "effect"), "-ledger", p.world.seenFile(t), "-target", t.ID, "-action", "restart", "-version", "{version}", "-digest", "{digest}",
				}},
			}}
		case kindCommand:
			program := filepath.Join(p.dir, "bin", "effect")
			run := func(action string) *configv1.Command {
				return &configv1.Command{Argv: []string{
					program, "-ledger", p.world.ledger(t), "-target", "{target}", "-action", action, "-version", "{version}", "-digest", "{digest}", "-artifact", "{location}",
				}, Timeout: durationpb.New(commandTime)}
			}
			d.Driver = &configv1.TargetDriver_Command{Command: &configv1.CommandDriver{
				Deploy: run("apply"), Rollback: run("rollback"), Allow: []string{program},
				MarkerFolder: filepath.Join(p.dir, "commands", t.ID),
			}}
		case kindConfig:
			d.Driver = &configv1.TargetDriver_Config{Config: &configv1.ConfigDriver{
				Entry: p.entry(t, procedure.ServiceExecutor), Patience: durationpb.New(commandTime),
			}}
		default:
			d.Driver = &configv1.TargetDriver_Noop{Noop: &configv1.NoopDriver{}}
		}
		all = append(all, d)
	}
	return all
}
