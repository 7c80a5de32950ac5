package validator

import (
	"errors"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Check says what is wrong with a configuration beside what Load reads in it, without
// reaching anybody: files and folders that are named, keys and addresses. The error
// names every field at fault.
func Check(cfg *configv1.Validator) error {
	return errors.Join(
		station.Check(procedure.ServiceValidator, cfg.GetCommon()),
		service.InField("artifact_folder", service.CheckFolder(cfg.GetArtifactFolder())),
		service.CheckRegistries(cfg.GetRegistries()),
	)
}

func names(cfg *configv1.Validator) []string {
	var out []string
	for _, t := range cfg.GetTargets() {
		out = append(out, t.GetTarget())
	}
	return out
}
