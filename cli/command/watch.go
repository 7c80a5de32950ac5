package command

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/cli/watch"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func newWatch(a *app) *cobra.Command {
	var timeout time.Duration
	var lines bool
	cmd := &cobra.Command{
		Use:   "watch RELEASE",
		Short: "Follow a release until it is over",
		Long: "Shows the steps as they go: redrawn in place on a terminal, one line for each\n" +
			"event elsewhere. Goes on when the recorder restarts. The exit code is that of the\n" +
			"outcome. A way back is followed by its id until its record is closed.",
		Example: "  shipwarden watch shop-k7q2m3xw5d8ta4bc --timeout 30m\n" +
			"  shipwarden watch shop-k7q2m3xw5d8ta4bc-rb1",
		Args:              oneRelease,
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			return a.follow(cmd.Context(), args[0], following{
				timeout: timeout, out: a.out, lines: lines || !a.process.OutTerminal,
			})
		}),
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "how long to wait, 0 for ever")
	cmd.Flags().BoolVar(&lines, "lines", false, "one line for each event, also on a terminal")
	return cmd
}

// following says how a release is followed.
type following struct {
	timeout  time.Duration
	patience time.Duration
	quiet    bool
	lines    bool
	out      io.Writer
}

// view shows a release as it goes.
type view interface {
	Show(answer *recorderv1.WatchReleaseResponse)
	End(r *recorderv1.Release)
}

// nothing shows nothing until the end.
type nothing struct{ *watch.Lines }

// Show implements view.
func (nothing) Show(*recorderv1.WatchReleaseResponse) {}

// follow waits until the release is over; its error has the code of the outcome.
func (a *app) follow(ctx context.Context, release string, f following) error {
	client, done, err := a.recorder()
	if err != nil {
		return err
	}
	defer done()
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	var v view
	notice := func(err error) { a.say("%v; trying again", exit.Call("watch "+release, err)) }
	switch {
	case f.quiet:
		v = nothing{watch.NewLines(f.out)}
	case f.lines:
		v = watch.NewLines(f.out)
	default:
		live := watch.NewLive(f.out, a.process.Width, a.paint())
		v = live
		told := notice
		notice = func(err error) { told(err); live.Interrupted() }
	}
	r, err := watch.Follow(ctx, client, release, watch.Options{Patience: f.patience, Show: v.Show, Notice: notice})
	if err != nil {
		if ctx.Err() != nil && r != nil {
			a.say("%s has not ended: %s", terminal.Escape(release), terminal.Escape(r.GetSummary()))
		}
		if f.timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return exit.Withf(exit.TimedOut, "watch %s: timed out after %s", release, f.timeout)
		}
		return exit.Call("watch "+release, err)
	}
	v.End(r)
	if r.GetWayBackOf() != "" && r.GetOutcome() == releasev1.Outcome_OUTCOME_ROLLED_BACK {
		return nil // It is what a way back is for.
	}
	return exit.Silently(exit.OfOutcome(r.GetOutcome()))
}
