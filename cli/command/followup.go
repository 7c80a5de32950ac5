package command

import (
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/exit"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func newFollowUp(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "follow-up",
		Short: "Say what is to be done after a release, and that it is done",
		Long: "Follow-up actions belong to a release that is on record, also to one that is closed.\n" +
			"They stand in its deployment record. `shipwarden get --open-follow-ups` lists the\n" +
			"releases after which something is still to be done.",
		Example: "  shipwarden follow-up add shop-k7q2m3xw5d8ta4bc --action 'bound the cache' --owner olu --due 2026-12-01\n" +
			"  shipwarden follow-up close shop-k7q2m3xw5d8ta4bc 1 --comment 'in 1.4.3'",
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newFollowUpAdd(a), newFollowUpClose(a))
	return cmd
}

func newFollowUpAdd(a *app) *cobra.Command {
	var action, owner, due string
	cmd := &cobra.Command{
		Use:               "add RELEASE --action TEXT --owner PERSON --due DATE",
		Short:             "Say what is to be done, by whom, until when",
		Example:           "  shipwarden follow-up add shop-k7q2m3xw5d8ta4bc --action 'bound the cache' --owner olu --due 2026-12-01",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(false),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("action", action); err != nil {
				return err
			}
			day, err := time.Parse(time.DateOnly, due)
			if err != nil {
				return exit.Withf(exit.Usage, "--due %q: expected a date such as 2026-12-01", due)
			}
			return a.addFollowUp(cmd.Context(), args[0], &releasev1.FollowUp{Action: action, Owner: owner, Due: timestamppb.New(day)})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&action, "action", "", "what is to be done")
	f.StringVar(&owner, "owner", "", "who does it, a person of the procedure")
	f.StringVar(&due, "due", "", "until when: a date, its beginning in UTC")
	for _, name := range []string{"action", "owner", "due"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func (a *app) addFollowUp(ctx context.Context, release string, f *releasev1.FollowUp) error {
	client, done, err := a.approval()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.AddFollowUp(ctx, &approvalv1.AddFollowUpRequest{Release: release, FollowUp: f})
	if err != nil {
		return exit.Call("follow-up add "+release, err)
	}
	a.say("%s: follow-up action %d", release, answer.GetNumber())
	return nil
}

func newFollowUpClose(a *app) *cobra.Command {
	var comment string
	cmd := &cobra.Command{
		Use:               "close RELEASE NUMBER --comment TEXT",
		Short:             "Say that it is done, or is not to be done any more",
		Example:           "  shipwarden follow-up close shop-k7q2m3xw5d8ta4bc 1 --comment 'in 1.4.3'",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.complete(false),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil || number == 0 {
				return exit.Withf(exit.Usage, "follow-up close: %q is no number of a follow-up action", args[1])
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			if err := notBlank("comment", comment); err != nil {
				return err
			}
			request := &approvalv1.CloseFollowUpRequest{Release: args[0], Number: uint32(number), Comment: comment}
			if _, err := client.CloseFollowUp(ctx, request); err != nil {
				return exit.Call("follow-up close "+args[0], err)
			}
			a.say("%s: follow-up action %d is closed", args[0], number)
			return nil
		}),
	}
	cmd.Flags().StringVar(&comment, "comment", "", "what came of it")
	_ = cmd.MarkFlagRequired("comment")
	return cmd
}
