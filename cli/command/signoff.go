package command

import (
	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newSignOff(a *app) *cobra.Command {
	var (
		passed, failed bool
		comment        string
		number         uint32
	)
	cmd := &cobra.Command{
		Use:   "sign-off RELEASE CHECK --pass|--fail --comment TEXT",
		Short: "Answer a check that asks a person",
		Long: `Answers a check of the verification that is under way: whether what the check asks about is as
it should be. Whoever is in one of the groups that the check names may answer, and nobody who has a
part in the change, but in an emergency. The first answer counts. A pass may be failed by somebody
until the verification is over; a failure stands, and has the same consequences as that of any other
check. Without an answer in time there is no verdict. What is asked is listed by pending, and shown by
get and explain.`,
		Example: `  shipwarden sign-off shop-k7q2m3xw5d8ta4bc ledger --pass --comment 'the sums agree'
  shipwarden sign-off shop-k7q2m3xw5d8ta4bc ledger --fail --comment '3 invoices are missing' --verification 2`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("comment", comment); err != nil {
				return err
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			answer, err := client.SignOff(ctx, &approvalv1.SignOffRequest{
				Release: args[0], Check: args[1], Passed: passed && !failed, Comment: comment, Number: number,
			})
			if err != nil {
				return exit.Call("sign-off "+args[0], err)
			}
			said := "failed"
			if passed {
				said = "passed"
			}
			a.say("%s: %s %s, in verification %d", args[0], args[1], said, answer.GetNumber())
			return nil
		}),
	}
	cmd.Flags().BoolVar(&passed, "pass", false, "it is as it should be")
	cmd.Flags().BoolVar(&failed, "fail", false, "it is not")
	cmd.Flags().StringVar(&comment, "comment", "", "what was seen; it goes on record")
	cmd.Flags().Uint32Var(&number, "verification", 0, "the verification that is answered, refused where another one is under way; left out, that one")
	cmd.MarkFlagsMutuallyExclusive("pass", "fail")
	cmd.MarkFlagsOneRequired("pass", "fail")
	_ = cmd.MarkFlagRequired("comment")
	return cmd
}
