package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// maxPendingPage is the largest page that the approval service gives.
const maxPendingPage = 200

func newPending(a *app) *cobra.Command {
	var mine bool
	var service string
	var output *form
	cmd := &cobra.Command{
		Use:   "pending",
		Short: "List releases that wait for approvals, and checks that wait to be signed off",
		Long: "Lists releases that wait for approvals, the oldest first, and checks of verifications under\n" +
			"way that wait to be signed off: what is asked, of which targets, until when, and the command\n" +
			"that answers. With -o name it is the releases that wait for approvals.",
		Example: "  shipwarden pending --mine",
		Args:    cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := output.check(); err != nil {
				return err
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			all := &approvalv1.ListPendingResponse{}
			for token, first := "", true; first || token != ""; first = false {
				page, err := func() (*approvalv1.ListPendingResponse, error) {
					ctx, cancel := a.call(cmd.Context())
					defer cancel()
					return client.ListPending(ctx, &approvalv1.ListPendingRequest{Mine: mine, Service: service, PageSize: maxPendingPage, PageToken: token})
				}()
				if err != nil {
					return exit.Call("list what is pending", err)
				}
				all.Pending = append(all.Pending, page.GetPending()...)
				all.SignOffs = append(all.SignOffs, page.GetSignOffs()...)
				token = page.GetNextPageToken()
			}
			return a.pending(output, all)
		}),
	}
	cmd.Flags().BoolVar(&mine, "mine", false, "only those that the caller may approve or sign off")
	cmd.Flags().StringVar(&service, "service", "", "only this service")
	output = outputFlag(cmd, formTable, formWide, formJSON, formYAML, formName)
	return cmd
}

func (a *app) pending(f *form, all *approvalv1.ListPendingResponse) error {
	if done, err := a.message(f, all); done || err != nil {
		return err
	}
	if f.value == formName {
		for _, p := range all.GetPending() {
			fmt.Fprintln(a.out, terminal.Escape(p.GetRelease()))
		}
		return nil
	}
	if len(all.GetPending())+len(all.GetSignOffs()) == 0 {
		a.say("nothing is pending")
		return nil
	}
	if len(all.GetPending()) > 0 {
		if err := show.Pending(a.out, all.GetPending(), f.value == formWide); err != nil {
			return err
		}
	}
	return show.Wanted(a.out, all.GetSignOffs(), len(all.GetPending()) > 0)
}
