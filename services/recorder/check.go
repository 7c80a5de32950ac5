package recorder

import (
	"errors"
	"time"

	"github.com/blackdice/shipwarden/internal/service"
	"github.com/blackdice/shipwarden/internal/station"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// Check says what is wrong with a configuration that can be known without reaching
// anybody: files that are named, keys, addresses, and who may read. The error names
// every field at fault.
func Check(cfg *configv1.Recorder) error {
	_, _, databases := Databases(cfg)
	_, access := loadAccess(cfg, time.Now)
	_, digests := loadDigest(cfg.GetDigest())
	return errors.Join(
		station.Check(Name, cfg.GetCommon()),
		service.InField("grpc.listen", service.CheckListen(cfg.GetGrpc().GetListen())),
		databases, access, digests,
	)
}
