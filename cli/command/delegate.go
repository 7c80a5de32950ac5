package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newDelegate(a *app) *cobra.Command {
	var from, until, reason string
	var groups []string
	cmd := &cobra.Command{
		Use:   "delegate PERSON --until TIME --reason TEXT",
		Short: "Have somebody approve for you, for a time",
		Long: "Has PERSON approve in your place, for instance while you are on leave or not on\n" +
			"call. They can approve what you could, and nothing that you or they have a part in.\n" +
			"How long it may last, and for which groups, is in the procedure document. What they\n" +
			"approve with --for stands on record as theirs, in your place.",
		Example: "  shipwarden delegate dave --until 2026-12-24T12:00:00Z --reason 'on leave'\n" +
			"  shipwarden delegate dave --group sre --from 2026-12-20T18:00:00Z --until 2026-12-21T06:00:00Z --reason 'night shift'",
		Args: cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := notBlank("reason", reason); err != nil {
				return err
			}
			r := &approvalv1.DelegateRequest{StandIn: args[0], Groups: groups, Reason: reason}
			end, err := time.Parse(time.RFC3339, until)
			if err != nil {
				return exit.Withf(exit.Usage, "--until %q: expected a time such as 2026-12-24T12:00:00Z", until)
			}
			r.Until = timestamppb.New(end)
			if from != "" {
				begin, err := time.Parse(time.RFC3339, from)
				if err != nil {
					return exit.Withf(exit.Usage, "--from %q: expected a time such as 2026-12-20T18:00:00Z", from)
				}
				r.From = timestamppb.New(begin)
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			answer, err := client.Delegate(ctx, r)
			if err != nil {
				return exit.Call("delegate "+args[0], err)
			}
			a.say("delegation %d: %s approves for you until %s", answer.GetDelegation().GetNumber(), args[0], terminal.Time(r.GetUntil()))
			return nil
		}),
	}
	cmd.Flags().StringVar(&until, "until", "", "up to but not including this time")
	cmd.Flags().StringVar(&from, "from", "", "from this time on; now if it is left out")
	cmd.Flags().StringArrayVar(&groups, "group", nil, "only for this group of yours; may be repeated")
	cmd.Flags().StringVar(&reason, "reason", "", "why; it goes on record")
	for _, name := range []string{"until", "reason"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func newRevokeDelegation(a *app) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke-delegation NUMBER --reason TEXT",
		Short: "End a delegation at once",
		Long: "Ends a delegation, by either of the two or an operator. What was approved by it and\n" +
			"did not start yet does not start.",
		Example: "  shipwarden revoke-delegation 7 --reason 'back from leave'",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil || number == 0 {
				return exit.Withf(exit.Usage, "revoke-delegation: %q is no number of a delegation", args[0])
			}
			if err := notBlank("reason", reason); err != nil {
				return err
			}
			client, done, err := a.approval()
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			if _, err := client.RevokeDelegation(ctx, &approvalv1.RevokeDelegationRequest{Number: uint32(number), Reason: reason}); err != nil {
				return exit.Call("revoke-delegation "+args[0], err)
			}
			a.say("delegation %d is revoked", number)
			return nil
		}),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; it goes on record")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

func newDelegations(a *app) *cobra.Command {
	var output *form
	cmd := &cobra.Command{
		Use:     "delegations",
		Short:   "List who approves for whom",
		Long:    "Lists delegations that are not over, those that begin later, too.",
		Example: "  shipwarden delegations -o json",
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
			ctx, cancel := a.call(cmd.Context())
			defer cancel()
			all, err := client.ListDelegations(ctx, &approvalv1.ListDelegationsRequest{})
			if err != nil {
				return exit.Call("list delegations", err)
			}
			if done, err := a.message(output, all); done || err != nil {
				return err
			}
			if len(all.GetDelegations()) == 0 {
				a.say("nobody approves for anybody else")
				return nil
			}
			t := terminal.NewTable("NUMBER", "PERSON", "STAND-IN", "GROUPS", "FROM", "UNTIL", "REASON")
			for _, d := range all.GetDelegations() {
				groups := strings.Join(d.GetGroups(), ",")
				if groups == "" {
					groups = "all"
				}
				t.Add(fmt.Sprint(d.GetNumber()), d.GetPerson(), d.GetStandIn(), groups, terminal.Time(d.GetFrom()), terminal.Time(d.GetUntil()), d.GetReason())
			}
			return t.Write(a.out)
		}),
	}
	output = outputFlag(cmd, formTable, formJSON, formYAML)
	return cmd
}
