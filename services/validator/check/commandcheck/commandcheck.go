// Package commandcheck has programs look at a target that the validator's operator lists.
//
// A check calls a program by its name and gives values for placeholders of its arguments, of which
// the operator says which are allowed. Everything else is the operator's: path, arguments,
// environment, time, and by which status the program says that the target is not as it should be.
// There is no shell, and nothing is inherited (package argv).
//
//	ended by itself with 0             passed
//	with the status for a failure      failed
//	with any other                     error: it says nothing about the target
//	killed, too slow, not started      error
//	another file than was listed       error, and it is not run
//
// What the program prints is kept without what looks like a secret, and cut. Whatever it leaves
// running in its process group is killed when it has ended.
package commandcheck

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

// Prober takes the samples of checks by programs (PD-6.1, PD-6.3). It is safe for concurrent use.
type Prober struct{ Commands Commands }

var (
	_ check.Prober = Prober{}
	_ check.Named  = Prober{}
)

// Probe runs the program for a release of which nothing is known but the target.
func (p Prober) Probe(ctx context.Context, t *target.Target, c *releasev1.Check) check.Observation {
	return p.ProbeNamed(ctx, t, c, criterion.Names{Target: t.ID()})
}

// ProbeNamed runs the program once.
func (p Prober) ProbeNamed(ctx context.Context, _ *target.Target, c *releasev1.Check, names criterion.Names) check.Observation {
	probe := c.GetCommand()
	ran := &check.Ran{Ended: check.EndedNever}
	never := func(err error) check.Observation {
		ran.Why = check.Saying(err.Error())
		return check.JudgeRan(ran)
	}
	if err := p.Commands.allows(probe); err != nil {
		return never(err)
	}
	listed := p.Commands[probe.GetCommand()]
	ran.Fails = listed.fails
	arguments, err := listed.run.Expand(map[string]string{
		"target": names.Target, "service": names.Service, "environment": names.Environment, "digest": names.Digest,
	}, probe.GetArguments())
	if err != nil {
		return never(err)
	}
	if ran.Program, ran.Digest, err = listed.file(); err != nil {
		return never(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, criterion.Timeout(c), fmt.Errorf("not done after %s", criterion.Timeout(c)))
	defer cancel()
	output, err := listed.run.Run(ctx, argv.Run{
		Path: ran.Program, Name: probe.GetCommand(), Argv: arguments, Folder: "/", DieWithUs: true, LeaveNothing: true,
	})
	ran.Said, ran.Bytes, ran.Redacted = check.Saying(string(output.Text)), output.Total, output.Redacted
	var exit argv.ExitError
	switch {
	case err == nil:
		ran.Ended = check.EndedByItself
	case errors.As(err, &exit):
		ran.Ended, ran.Status = check.EndedByItself, exit.Status
	case errors.Is(err, argv.ErrStart):
		return never(err)
	default:
		ran.Ended, ran.Why = check.EndedKilled, check.Saying(err.Error())
	}
	return check.JudgeRan(ran)
}

// file is the program's file after all links, and the digest of what is in it: of that which was
// listed, where that is said.
func (c command) file() (path, digest string, err error) {
	if path, err = filepath.EvalSymlinks(c.run.Path()); err != nil {
		return "", "", err
	}
	if err := argv.CheckExecutable(path); err != nil {
		return "", "", err
	}
	file, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", "", err
	}
	found := hex.EncodeToString(sum.Sum(nil))
	if c.sha256 != "" && found != c.sha256 {
		return path, "sha256:" + found, fmt.Errorf("%s is not the file that was listed, its SHA-256 is %s", path, found)
	}
	return path, "sha256:" + found, nil
}
