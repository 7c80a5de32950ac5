package command

import (
	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newReportImpact(a *app) *cobra.Command {
	var description string
	var customers []string
	cmd := &cobra.Command{
		Use:   "report-impact RELEASE",
		Short: "Call people because of an impact that nobody expected",
		Long: `Calls people because a release hits customers or production in a way that nobody
expected. Anybody whom the procedure knows may. It stops nothing by itself: whoever is
called decides.`,
		Example:           "  shipwarden report-impact shop-k7q2m3xw5d8ta4bc --description 'checkout fails' --customer acme",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			_, err = client.ReportImpact(ctx, &approvalv1.ReportImpactRequest{Release: args[0], Description: description, Customers: customers})
			if err != nil {
				return exit.Call("report the impact of "+args[0], err)
			}
			a.say("%s: people are called", args[0])
			return nil
		}),
	}
	cmd.Flags().StringVar(&description, "description", "", "what happens, and to whom")
	cmd.Flags().StringArrayVar(&customers, "customer", nil, "a customer whom it hits; may be given again")
	_ = cmd.MarkFlagRequired("description")
	return cmd
}
