package command

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/ground"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/postgres"
)

// What dev and demo have in common: a folder, a shop, an exit code.

// trial gives an error of dev or demo its code. No release ended in it, so it is
// never that of releases: either the command line is wrong, or this machine did not
// give what was needed.
func trial(err error) error {
	if errors.Is(err, ground.ErrForeign) || errors.Is(err, postgres.ErrUnreachable) {
		return exit.With(exit.Usage, err)
	}
	return exit.Otherwise(exit.Unreachable, err)
}

// checkShop refuses a folder that is not that of the example application, before
// anything is made.
func checkShop(source string) error {
	if _, err := os.Stat(filepath.Join(source, "shopctl")); err != nil {
		return exit.Withf(exit.Usage, "--shop: %w: run this in the folder of Shipwarden's source, or name its examples/shop", err)
	}
	return nil
}

// stateDir is the folder that was asked for, or one in .shipwarden. Where the user
// who runs PostgreSQL cannot reach that, as below /root, it is one for temporary
// files that stay.
func (a *app) stateDir(asked, name string) (string, error) {
	dir := asked
	if dir == "" {
		dir = filepath.Join(".shipwarden", name)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	err = postgres.CheckDir(dir)
	if asked != "" || !errors.Is(err, postgres.ErrUnreachable) {
		return dir, ignoreMissing(err)
	}
	sum := sha256.Sum256([]byte(dir))
	elsewhere := filepath.Join("/var/tmp", "shipwarden-"+hex.EncodeToString(sum[:4]), name)
	a.say("PostgreSQL cannot reach %s as its own user; using %s instead.", dir, elsewhere)
	return elsewhere, nil
}

// here is a path as somebody in the working folder types it.
func here(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// writeSettings writes a context file that leads to a rig, for a caller of it.
func writeSettings(r *rig.Rig, caller settings.Settings, file string) error {
	caller.ApprovalURL, caller.RecorderURL = r.ApprovalURL, r.RecorderURL
	caller.NATSURL, caller.NATSUser, caller.NATSPasswordFile = r.NATSURL(), rig.UserCI, r.PasswordFile(rig.UserCI)
	out, err := caller.File()
	if err != nil {
		return err
	}
	return writeFile(file, out)
}

// writeFile writes a file, and its folder where that is missing.
func writeFile(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

// freeSettings refuses to take the settings of the working folder away from another
// dev that still runs: commands typed here would go to this one from then on.
func freeSettings(dir, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil //nolint:nilerr // Nobody's, or what cannot be read is told when it is written.
	}
	s, err := settings.Parse(data, file)
	secret := s.TokenFile
	if secret == "" {
		secret = s.NATSPasswordFile // of one whose people log in
	}
	if err != nil || secret == "" {
		return nil //nolint:nilerr // No dev wrote it.
	}
	other := filepath.Dir(filepath.Dir(filepath.Dir(secret))) // <dir>/state/secrets/<person>.token
	if other == dir {
		return nil
	}
	if _, err := os.Stat(filepath.Join(other, "state")); err != nil {
		return nil //nolint:nilerr // It is gone.
	}
	release, err := ground.Take(other)
	if errors.Is(err, ground.ErrInUse) {
		return fmt.Errorf("%s belongs to a dev that runs in %s: end it, or start this one in another working folder", file, other)
	}
	if err == nil {
		release()
	}
	return nil
}
