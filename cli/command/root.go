package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/settings"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/service"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// commands are all commands, by the group in which the help shows them.
func commands(a *app) map[string][]*cobra.Command {
	return map[string][]*cobra.Command{
		groupRequest: {newSubmit(a), newAttest(a), newLint(a), newCatalog(a), newCalendar(a)},
		groupLook:    {newGet(a), newDescribe(a), newWatch(a), newRecord(a), newReplay(a), newEvidence(a), newRefusals(a), newPending(a), newExplain(a), newWhatIf(a), newDelegations(a), newWhoCan(a)},
		groupDecide: {
			newApprove(a), newReject(a), newWithdrawApproval(a), newWithdraw(a), newAbort(a), newPause(a), newResume(a), newSignOff(a), newOverride(a),
			newAcknowledgeNotice(a), newAcknowledge(a), newCloseIncident(a), newReportImpact(a), newRetry(a), newRollback(a), newAccept(a), newConfirm(a), newReview(a), newFollowUp(a), newQuarantine(a), newProcedure(a),
			newDelegate(a), newRevokeDelegation(a),
		},
		groupTry:   {newDemo(a), newDev(a)},
		groupOther: {newLogin(a), newLogout(a), newAdmin(a), newVersion(a), newExitCodes(), newSettingsTopic()},
	}
}

// The groups of the help, in their order.
const (
	groupRequest = "request"
	groupLook    = "look"
	groupDecide  = "decide"
	groupTry     = "try"
	groupOther   = "other"
)

var groups = []*cobra.Group{
	{ID: groupRequest, Title: "Ask for a release:"},
	{ID: groupLook, Title: "Look:"},
	{ID: groupDecide, Title: "Decide:"},
	{ID: groupTry, Title: "Try it on one machine:"},
	{ID: groupOther, Title: "Other:"},
}

// app is what all commands share.
type app struct {
	process Process
	out     io.Writer
	root    *cobra.Command
	// started is set when a command begins its own work: errors before that are
	// those of the command line.
	started bool
	// contextFile and requestTimeout are the values of global flags.
	contextFile    string
	requestTimeout time.Duration
	// resolved is filled in by settings, once.
	resolved *settings.Settings
}

// Main runs the command with these arguments and returns its exit code.
func Main(ctx context.Context, args []string, p Process) int {
	a := newApp(p)
	a.root.SetArgs(args)
	of, err := a.root.ExecuteContextC(ctx)
	if err == nil {
		return exit.OK
	}
	if !a.started {
		complain(p.Err, err)
		fmt.Fprintf(p.Err, "Run '%s --help' for usage, 'shipwarden help exit-codes' for what the codes mean.\n", of.CommandPath())
		return exit.Usage
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		fmt.Fprintln(p.Err, "shipwarden: interrupted")
		return exit.Interrupted
	}
	if !exit.IsSilent(err) {
		complain(p.Err, err)
	}
	return exit.Code(err)
}

// complain prints an error. It may quote a file that somebody else wrote.
func complain(w io.Writer, err error) {
	fmt.Fprintln(w, "shipwarden: "+strings.Join(terminal.Lines(err.Error()), "\n"))
}

func newApp(p Process) *app {
	a := &app{process: p, out: p.Out}
	cobra.EnableCommandSorting = false // the order here is the one in which they are needed
	a.root = &cobra.Command{
		Use:   "shipwarden",
		Short: "Carry releases through the deployment procedure",
		Long: "shipwarden asks for releases, shows what becomes of them, and takes people's\n" +
			"decisions. Every release goes through the same eight steps; everything that\n" +
			"happens to it is on record.",
		Version:      service.Build().String(),
		SilenceUsage: true, SilenceErrors: true,
	}
	a.root.SetVersionTemplate("shipwarden {{.Version}}\n")
	a.root.SetIn(p.In)
	a.root.SetOut(p.Out)
	a.root.SetErr(p.Err)
	flags := a.root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&a.contextFile, "context", "", "context file with settings (shipwarden help settings)")
	for _, s := range settings.All() {
		flags.String(s.Name, "", s.Usage)
	}
	flags.DurationVar(&a.requestTimeout, "request-timeout", 15*time.Second, "how long one call to a service may take")
	a.root.AddGroup(groups...)
	a.root.SetHelpCommandGroupID(groupOther)
	a.root.SetCompletionCommandGroupID(groupOther)
	all := commands(a)
	for _, g := range groups {
		for _, c := range all[g.ID] {
			if c.Runnable() || c.HasSubCommands() {
				c.GroupID = g.ID
			}
			c.Flags().SortFlags = false
			a.root.AddCommand(c)
		}
	}
	a.strict()
	return a
}

// strict makes words that are no command an error everywhere. The library answers
// some of them with the help and the exit code of success.
func (a *app) strict() {
	a.root.InitDefaultHelpCmd()
	a.root.InitDefaultCompletionCmd()
	for _, c := range a.root.Commands() {
		switch {
		case c.Name() == "help":
			c.RunE = func(_ *cobra.Command, args []string) error {
				of, rest, err := a.root.Find(args)
				if err != nil {
					return err
				}
				if len(rest) > 0 {
					return fmt.Errorf("unknown command %q for %q", rest[0], of.CommandPath())
				}
				return of.Help()
			}
		case c.HasSubCommands() && !c.Runnable():
			c.Args = cobra.NoArgs
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
	}
}

// run makes a RunE of a function, and notes that the command line was in order.
func (a *app) run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.started = true
		return f(cmd, args)
	}
}

// say writes chatter: what a person wants to know and a script does not.
func (a *app) say(format string, args ...any) {
	fmt.Fprintf(a.process.Err, format+"\n", args...)
}

// paint colors what goes to a terminal, unless NO_COLOR is set to anything.
func (a *app) paint() terminal.Paint {
	return terminal.Paint{On: a.process.OutTerminal && a.process.Getenv("NO_COLOR") == "" && a.process.Getenv("TERM") != "dumb"}
}

// settings are where the services are, read once.
func (a *app) settings() (settings.Settings, error) {
	if a.resolved != nil {
		return *a.resolved, nil
	}
	flags := a.root.PersistentFlags()
	s, err := settings.Resolve(settings.Sources{
		Flag: func(name string) (string, bool) {
			f := flags.Lookup(name)
			return f.Value.String(), f.Changed
		},
		Getenv:  a.process.Getenv,
		Context: a.contextFile,
		Home:    a.process.ConfigHome,
	})
	if err != nil {
		return settings.Settings{}, exit.With(exit.Usage, err)
	}
	a.resolved = &s
	return s, nil
}

// recorder returns a client of the recorder, and what closes it.
func (a *app) recorder() (recorderv1.RecorderServiceClient, func(), error) {
	s, err := a.settings()
	if err != nil {
		return nil, nil, err
	}
	bearer, err := a.bearer(s)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connect.GRPC(s, "recorder-url", s.RecorderURL, bearer)
	if err != nil {
		return nil, nil, err
	}
	return recorderv1.NewRecorderServiceClient(conn), func() { _ = conn.Close() }, nil
}

// approval returns a client of the approval service, and what closes it.
func (a *app) approval() (approvalv1.ApprovalServiceClient, func(), error) {
	s, err := a.settings()
	if err != nil {
		return nil, nil, err
	}
	bearer, err := a.bearer(s)
	if err != nil {
		return nil, nil, err
	}
	conn, err := connect.GRPC(s, "approval-url", s.ApprovalURL, bearer)
	if err != nil {
		return nil, nil, err
	}
	return approvalv1.NewApprovalServiceClient(conn), func() { _ = conn.Close() }, nil
}

// call bounds the context of one call.
func (a *app) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.requestTimeout)
}

// oneOf makes the error for a flag that takes one of a few words.
func oneOf(flag, value string, words ...string) error {
	return exit.Withf(exit.Usage, "--%s %q: must be one of %s", flag, value, strings.Join(words, ", "))
}
