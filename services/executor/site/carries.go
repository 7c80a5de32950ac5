package site

import (
	"context"
	"errors"
	"fmt"

	"github.com/blackdice/shipwarden/internal/standing"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// errMoved says that another release locked or left a target while it was looked at.
var errMoved = errors.New("it is not as it was a moment ago")

// Carries asks the driver of a target what it carries, for a release that has not
// changed it. Known is false where nobody can say: the driver cannot tell, or has
// placed nothing by itself on a target that it does not see, or another release has
// the target and changes it. An error that wraps driver.ErrConflict says that it
// carries what is no release; after any other the target is to be looked at again.
func (s *Site) Carries(ctx context.Context, id string, target standing.Target, release string) (digest string, known bool, err error) {
	d, err := s.Driver(id)
	if err != nil {
		return "", false, err
	}
	if held, err := s.Held(ctx, id, target, release); err != nil || held {
		return "", false, err
	}
	running, err := d.Running(ctx)
	if now, err := standing.ReadTarget(ctx, s.Store, id); err != nil {
		return "", false, err
	} else if now.Expect != target.Expect {
		return "", false, fmt.Errorf("target %s: %w", id, errMoved)
	}
	switch {
	case errors.Is(err, driver.ErrUnknown):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return running, running != "" || d.Class() != releasev1.DriverClass_DRIVER_CLASS_OPAQUE, nil
}

// OrNothing is a digest for people.
func OrNothing(digest string) string {
	if digest == "" {
		return "nothing"
	}
	return digest
}
