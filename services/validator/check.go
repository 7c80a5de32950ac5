package validator

import (
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	"github.com/blackdice/shipwarden/procedure"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/check/commandcheck"
)

// Check says what is wrong with a configuration beside what Load reads in it, without
// reaching anybody: files and folders that are named, keys and addresses. The error
// names every field at fault.
func Check(cfg *configv1.Validator) error {
	wrong := []error{station.CheckReaching(procedure.ServiceValidator, cfg)}
	for i, t := range cfg.GetTargets() {
		if t.GetConfig() != nil {
			wrong = append(wrong, service.Below(fmt.Sprintf("targets[%d].config.nats", i), service.CheckNATS(t.GetConfig().GetNats())))
		}
	}
	if commands, err := commandcheck.Open(cfg.GetCommands()); err == nil {
		wrong = append(wrong, commands.Missing(cfg.GetCommands()))
	}
	return errors.Join(wrong...)
}
