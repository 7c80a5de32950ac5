package command

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

func newWhoCan(a *app) *cobra.Command {
	r := &approvalv1.WhoCanRequest{}
	var output *form
	cmd := &cobra.Command{
		Use:   "who-can",
		Short: "Report who can approve, authorize, review, operate, own and sign off",
		Long: "Lists who can do what by the procedure document in effect, with stand-ins, and who is\n" +
			"on call now and until when: for access reviews. Of what the risk score asks for, it says\n" +
			"from which score on, and by which lane of standard changes; of checks that people sign off,\n" +
			"those of the services. Whoever has a part in a change approves it, and signs it off, by none\n" +
			"of these rights. A star marks who has a key to sign approvals with.",
		Example: "  shipwarden who-can --environment production --service shop\n" +
			"  shipwarden who-can --person carol -o json",
		Args: cobra.NoArgs,
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
			all, err := client.WhoCan(ctx, r)
			if err != nil {
				return exit.Call("report who can do what", err)
			}
			if done, err := a.message(output, all); done || err != nil {
				return err
			}
			t := terminal.NewTable("ACTION", "ENVIRONMENT", "SERVICE", "NEEDED", "WHO")
			for _, right := range all.GetRights() {
				t.Add(actionOf(right), orAll(right.GetEnvironment()), orAll(right.GetService()), neededOf(right), holders(right.GetHolders()))
			}
			if err := t.Write(a.out); err != nil {
				return err
			}
			if len(all.GetOnCall()) > 0 {
				fmt.Fprintln(a.out)
				if err := show.OnDuty(a.out, all.GetOnCall()); err != nil {
					return err
				}
			}
			a.say("by version %s of the procedure, %s", terminal.Escape(all.GetProcedureVersion()), terminal.Escape(all.GetProcedureDigest()))
			return nil
		}),
	}
	cmd.Flags().StringVar(&r.Environment, "environment", "", "only this environment")
	cmd.Flags().StringVar(&r.Service, "service", "", "only this service")
	cmd.Flags().StringVar(&r.Person, "person", "", "only what this person can do")
	output = outputFlag(cmd, formTable, formJSON, formYAML)
	return cmd
}

func orAll(name string) string {
	if name == "" {
		return "all"
	}
	return name
}

// actionOf says of approvals by the risk score which they are.
func actionOf(r *approvalv1.Right) string {
	switch {
	case r.GetCheck() != "":
		return fmt.Sprintf("%s (%s)", r.GetAction(), r.GetCheck())
	case r.GetLane() != "":
		return fmt.Sprintf("%s (%s, from %d)", r.GetAction(), r.GetLane(), r.GetScore())
	case r.GetScore() > 0:
		return fmt.Sprintf("%s (from %d)", r.GetAction(), r.GetScore())
	}
	return r.GetAction()
}

func neededOf(r *approvalv1.Right) string {
	out := fmt.Sprintf("%d of %s", r.GetCount(), r.GetGroup())
	if r.GetSigned() {
		out += " (signed)"
	}
	return out
}

func holders(all []*approvalv1.Holder) string {
	var out []string
	for _, h := range all {
		name := h.GetPerson()
		if h.GetCanSign() {
			name += "*"
		}
		if h.GetStandInFor() != "" {
			name += " for " + h.GetStandInFor()
		}
		if s := h.GetOnCall(); s != nil {
			name += " (on call until " + terminal.Time(s.GetUntil()) + ")"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}
