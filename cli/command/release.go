package command

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// releasePattern is what the id of a release looks like.
var releasePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,79}$`)

// completionNote is what stands beside an id that is offered.
func completionNote(r *recorderv1.Release) string {
	return terminal.Escape(r.GetService() + " " + r.GetVersion() + " to " + r.GetEnvironment() + ", " + r.GetPhase())
}

// oneRelease takes exactly one release id.
func oneRelease(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: name one release (%d were named); `shipwarden get` lists them", cmd.Name(), len(args))
	}
	return checkRelease(args[0])
}

// wayBackPattern is what the id of a way back looks like, and no release's id does.
var wayBackPattern = regexp.MustCompile(`^(.+)-rb[1-9][0-9]*$`)

// wholeRelease takes exactly one release id. It is that of the release where a way back has a
// record and no say of its own.
func wholeRelease(cmd *cobra.Command, args []string) error {
	if err := oneRelease(cmd, args); err != nil {
		return err
	}
	if m := wayBackPattern.FindStringSubmatch(args[0]); m != nil {
		return exit.Withf(exit.Usage, "%s is a way back, and goes with its release: %s %s", args[0], cmd.CommandPath(), m[1])
	}
	return nil
}

// checkRelease refuses what cannot be the id of a release, before anybody is asked.
func checkRelease(id string) error {
	if !releasePattern.MatchString(id) {
		return exit.Withf(exit.Usage, "%q is no release id, such as shop-k7q2m3xw5d8ta4bc", id)
	}
	return nil
}
