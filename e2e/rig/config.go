package rig

import (
	"fmt"
	"os"
	"path/filepath"

	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// configure writes one configuration file for every service, and what they share.
func (r *Rig) configure() error {
	ring, err := r.keyring()
	if err != nil {
		return err
	}
	tokens, err := r.tokens(r.document.GetPeople())
	if err != nil {
		return err
	}
	channels := r.cfg.Channels
	targets, places := r.cfg.Targets, r.cfg.Places
	root, roots := "", []string(nil)
	if r.cfg.SigstoreRoot != nil {
		root = r.SigstoreRootFile()
		roots = []string{root}
	}
	reconcile := (*durationpb.Duration)(nil)
	if r.cfg.Reconcile > 0 {
		reconcile = durationpb.New(r.cfg.Reconcile)
	}
	files := map[string]proto.Message{
		"keyring": ring,
		"tokens":  tokens,
		procedure.ServiceApproval: &configv1.Approval{
			Common: r.common(procedure.ServiceApproval), Grpc: &configv1.Grpc{Listen: r.ApprovalURL},
			ProcedureFile: r.ProcedureFile(), ActivateFirst: true, TokensFile: r.configFile("tokens"), Channels: channels,
			SigstoreRootFile: root, Registries: r.cfg.Registries, Oidc: r.cfg.OIDC, AlertSources: r.cfg.AlertSources,
		},
		procedure.ServiceValidator: &configv1.Validator{
			Common: r.common(procedure.ServiceValidator), ArtifactFolder: r.cfg.ArtifactFolder, Targets: places, Registries: r.cfg.Registries,
			MetricSources: r.cfg.MetricSources, LogSources: r.cfg.LogSources, KubernetesClusters: r.cfg.Clusters,
			Commands: r.cfg.CheckCommands,
		},
		procedure.ServiceExecutor: &configv1.Executor{
			Common: r.common(procedure.ServiceExecutor), ArtifactFolder: r.cfg.ArtifactFolder, Targets: targets, Registries: r.cfg.Registries, SigstoreRootFiles: roots,
			AlertSources: r.cfg.AlertSources, StateFolder: filepath.Join(r.cfg.Dir, "executor"), ReconcileEvery: reconcile,
		},
		procedure.ServiceRecorder: &configv1.Recorder{
			Common: r.common(procedure.ServiceRecorder), Grpc: &configv1.Grpc{Listen: r.RecorderURL},
			DatabaseUrlFile: r.secretFile("database.url"), MigrateUrlFile: r.secretFile(ownerURL), TokensFile: r.configFile("tokens"),
			Oidc: r.cfg.OIDC, ReaderGroups: r.cfg.ReaderGroups,
		},
	}
	for name, m := range files {
		out, err := protoyaml.MarshalOptions{UseProtoNames: true}.Marshal(m)
		if err != nil {
			return fmt.Errorf("write the configuration of %s: %w", name, err)
		}
		if err := os.WriteFile(r.configFile(name), out, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rig) common(name string) *configv1.Common {
	c := &configv1.Common{
		Nats: r.natsConfig(name), SigningKey: &configv1.SigningKey{Id: name + "-1", File: r.secretFile(name + ".pem")},
		KeyringFile: r.configFile("keyring"), HttpListen: r.HTTP[name],
		Log: &configv1.Log{Level: r.cfg.LogLevel, Text: true}, Workers: r.cfg.Workers,
	}
	if r.cfg.AckWait > 0 {
		c.AckWait = durationpb.New(r.cfg.AckWait)
	}
	return c
}

func (r *Rig) configFile(name string) string {
	return filepath.Join(r.cfg.Dir, "config", name+".yaml")
}

// ProcedureFile is where the procedure document lies.
func (r *Rig) ProcedureFile() string { return filepath.Join(r.cfg.Dir, "procedure.yaml") }
