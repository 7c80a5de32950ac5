package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

func newRefusals(a *app) *cobra.Command {
	var limit int
	var output *form
	cmd := &cobra.Command{
		Use:     "refusals",
		Short:   "List requests that were refused",
		Long:    "Lists refused requests, the newest first, with what was wrong with them.",
		Example: "  shipwarden refusals -o wide --limit 5",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			if err := checkLimit(limit); err != nil {
				return err
			}
			client, done, err := a.recorder()
			if err != nil {
				return err
			}
			defer done()
			all, more, err := a.refused(cmd.Context(), client, limit)
			if err != nil {
				return err
			}
			if more {
				a.say("there are more; --limit 0 gets all")
			}
			if done, err := a.message(output, all); done || err != nil {
				return err
			}
			if len(all.GetRefusals()) == 0 {
				a.say("no refusals")
				return nil
			}
			return show.Refusals(a.out, all.GetRefusals(), output.value == formWide)
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many, 0 for all")
	output = outputFlag(cmd, formTable, formWide, formJSON, formYAML)
	return cmd
}

// refused asks page by page until the limit is reached, and reports whether there is
// more.
func (a *app) refused(ctx context.Context, client recorderv1.RecorderServiceClient, limit int) (*recorderv1.ListRefusalsResponse, bool, error) {
	out := &recorderv1.ListRefusalsResponse{}
	token := ""
	for {
		size := maxPage
		if limit > 0 {
			size = min(maxPage, limit-len(out.GetRefusals()))
		}
		page, err := func() (*recorderv1.ListRefusalsResponse, error) {
			ctx, cancel := a.call(ctx)
			defer cancel()
			return client.ListRefusals(ctx, &recorderv1.ListRefusalsRequest{PageSize: int32(size), PageToken: token}) //nolint:gosec // at most maxPage
		}()
		if err != nil {
			return nil, false, exit.Call("list refusals", err)
		}
		out.Refusals = append(out.Refusals, page.GetRefusals()...)
		if out.GetAsOfSequence() == 0 {
			out.AsOfSequence = page.GetAsOfSequence()
		}
		token = page.GetNextPageToken()
		if token == "" || limit > 0 && len(out.GetRefusals()) >= limit {
			return out, token != "", nil
		}
	}
}
