package command

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newOverride(a *app) *cobra.Command {
	r := &approvalv1.OverrideFreezeRequest{}
	cmd := &cobra.Command{
		Use:   "override RELEASE FREEZE --reason TEXT --ticket ID",
		Short: "Make an exception of one freeze for one release",
		Long: "Lets a release start, or go on, in spite of one freeze, by somebody whom that freeze\n" +
			"names for it (override_people, override_groups) and who has no part in the change, but\n" +
			"in an emergency. Where several freezes hold the release, each needs its own. The\n" +
			"exception is shown to approvers and stands in the deployment record; it is void once\n" +
			"the freeze is changed.",
		Example:           "  shipwarden override shop-k7q2m3xw5d8ta4bc weekend --reason 'customers cannot pay' --ticket INC-7",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.complete(true),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			r.Release, r.Freeze = args[0], args[1]
			return a.override(cmd.Context(), r)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&r.Reason, "reason", "", "why; it goes on record")
	f.StringVar(&r.Ticket, "ticket", "", "where it was agreed; it goes on record")
	_ = cmd.MarkFlagRequired("reason")
	_ = cmd.MarkFlagRequired("ticket")
	return cmd
}

func (a *app) override(ctx context.Context, r *approvalv1.OverrideFreezeRequest) error {
	if err := notBlank("reason", r.GetReason()); err != nil {
		return err
	}
	client, done, err := a.approval()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.OverrideFreeze(ctx, r)
	if err != nil {
		return exit.Call("override "+r.GetRelease(), err)
	}
	a.say("%s: an exception of the freeze %s is on record", r.GetRelease(), r.GetFreeze())
	for _, h := range answer.GetHolds() {
		a.say("%s: the freeze %s, set by %s, still holds it: %s", r.GetRelease(), terminal.Escape(h.GetSubject()), terminal.Escape(h.GetSetBy()), terminal.Escape(h.GetMessage()))
	}
	switch {
	case answer.GetEarliestStart() == nil:
		a.say("%s: no start is feasible: shipwarden explain %s says why", r.GetRelease(), r.GetRelease())
	case len(answer.GetHolds()) > 0:
		a.say("%s: earliest feasible start %s", r.GetRelease(), terminal.Time(answer.GetEarliestStart()))
	}
	return nil
}
