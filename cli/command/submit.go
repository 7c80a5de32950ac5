package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/connect"
	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/submit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// submission is what the flags of submit say.
type submission struct {
	file          string
	evidence      []string
	dryRun, late  bool
	key, keyID    string
	wait, watch   bool
	timeout       time.Duration
	answerTimeout time.Duration
	form          *form
}

func newSubmit(a *app) *cobra.Command {
	s := &submission{}
	cmd := &cobra.Command{
		Use:   "submit -f FILE",
		Short: "Ask for a release and print its id",
		Long: "Checks a request, publishes it on request.<environment>.<service>, and waits for\n" +
			"its answer. The id of the release goes to standard output. The same request sent\n" +
			"again is the same release.\n\n" +
			"The file is YAML or JSON; - is standard input. Faults are told with file, line\n" +
			"and column.",
		Example: "  shipwarden submit -f release.yaml\n" +
			"  shipwarden submit -f release.yaml --evidence tests.dsse.json --watch --timeout 1h\n" +
			"  shipwarden submit -f release.yaml --key ci.pem --key-id ci-shop\n" +
			"  shipwarden submit -f release.yaml --late --evidence tests.dsse.json\n" +
			"  shipwarden submit -f release.yaml --dry-run",
		Args: cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error { return a.submit(cmd.Context(), s) }),
	}
	f := cmd.Flags()
	f.StringVarP(&s.file, "filename", "f", "", "file with the request, - for standard input")
	f.StringArrayVar(&s.evidence, "evidence", nil, "file with a DSSE envelope or a sigstore bundle for the gates; may be repeated")
	f.BoolVar(&s.late, "late", false, "bring the evidence to the release that was made of this request already and waits for it")
	f.BoolVar(&s.dryRun, "dry-run", false, "check the request and print the id it would get, publish nothing")
	f.StringVar(&s.key, "key", "", "PEM file with the Ed25519 key that signs the request")
	f.StringVar(&s.keyID, "key-id", "", "id of that key in the procedure document")
	f.BoolVar(&s.wait, "wait", false, "wait until the release is over; the exit code is that of its outcome")
	f.BoolVar(&s.watch, "watch", false, "like --wait, and show the steps on standard error")
	f.DurationVar(&s.timeout, "timeout", 0, "how long --wait and --watch wait, 0 for ever")
	f.DurationVar(&s.answerTimeout, "answer-timeout", 30*time.Second, "how long to wait for the answer")
	s.form = outputFlag(cmd, formName, formJSON, formYAML)
	_ = cmd.MarkFlagRequired("filename")
	cmd.MarkFlagsRequiredTogether("key", "key-id")
	return cmd
}

func (a *app) submit(ctx context.Context, s *submission) error {
	if err := s.form.check(); err != nil {
		return err
	}
	data, name, err := a.readFile(s.file)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	request, err := submit.Load(data, name, s.evidence)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if s.late && len(request.GetEvidence()) == 0 {
		return exit.Withf(exit.Usage, "--late: there is no evidence to bring: name it with --evidence")
	}
	signer, err := s.signer()
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if s.dryRun {
		a.say("%s: in order as far as can be told without the procedure document; nothing was published", name)
		fmt.Fprintln(a.out, procedure.ReleaseID(request.GetEnvironment(), request.GetService(), request.GetIdempotencyKey()))
		return nil
	}
	answer, err := a.publish(ctx, s, request, signer)
	if err != nil {
		return err
	}
	if err := a.tell(s, answer); err != nil {
		return err
	}
	if s.wait || s.watch {
		return a.follow(ctx, answer.GetRelease(), following{
			timeout: s.timeout, quiet: !s.watch, out: a.process.Err, lines: true, patience: time.Minute,
		})
	}
	return nil
}

// readFile reads the file, or standard input where its name is "-", and returns the
// name for errors too.
func (a *app) readFile(name string) ([]byte, string, error) {
	if name == "-" {
		data, err := io.ReadAll(a.process.In)
		if err != nil {
			return nil, "", fmt.Errorf("read standard input: %w", err)
		}
		return data, "stdin", nil
	}
	data, err := os.ReadFile(name)
	return data, name, err
}

func (s *submission) signer() (*submit.Signer, error) {
	if s.key == "" {
		return nil, nil //nolint:nilnil // an unsigned request is a valid choice
	}
	key, err := signingKey(s.key)
	if err != nil {
		return nil, err
	}
	return &submit.Signer{ID: s.keyID, Key: key}, nil
}

func (a *app) publish(ctx context.Context, s *submission, request *releasev1.Request, signer *submit.Signer) (*releasev1.Answer, error) {
	set, err := a.settings()
	if err != nil {
		return nil, err
	}
	conn, err := connect.NATS(ctx, set)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, s.answerTimeout)
	defer cancel()
	send := submit.Submit
	if s.late {
		send = submit.Bring
	}
	answer, err := send(ctx, conn, request, signer)
	switch {
	case errors.Is(err, submit.ErrNotAllowed):
		return nil, exit.With(exit.Denied, err)
	case errors.Is(err, submit.ErrNotStored):
		return nil, exit.With(exit.Unreachable, err)
	case errors.Is(err, submit.ErrNoAnswer):
		return nil, exit.With(exit.TimedOut, fmt.Errorf("%w; it may still be answered: send the same request again to learn how", err))
	}
	return answer, err
}

// tell prints an answer; a refusal is an error.
func (a *app) tell(s *submission, answer *releasev1.Answer) error {
	if done, err := a.message(s.form, answer); err != nil {
		return err
	} else if !done && answer.GetRelease() != "" {
		fmt.Fprintln(a.out, terminal.Escape(answer.GetRelease()))
	}
	switch answer.GetOutcome() { //nolint:exhaustive // Whatever is new is no release.
	case releasev1.Answer_OUTCOME_ACCEPTED:
		if s.late {
			a.say("the release has the evidence now, and its gates look again")
			return nil
		}
		a.say("accepted under procedure version %s", terminal.Escape(answer.GetProcedureVersion()))
		if len(answer.GetFrozenBy()) > 0 {
			a.say("it cannot start before %s, because of the freezes %s", terminal.Time(answer.GetEarliestStart()), terminal.Escape(strings.Join(answer.GetFrozenBy(), ", ")))
		}
		return nil
	case releasev1.Answer_OUTCOME_REPEATED:
		if s.late {
			a.say("the release had this evidence already; nothing was added")
			return nil
		}
		a.say("the request was there already; nothing was made anew")
		return nil
	case releasev1.Answer_OUTCOME_REFUSED:
		a.say("refused under procedure version %s:", terminal.Escape(answer.GetProcedureVersion()))
		if err := show.Violations(a.process.Err, answer.GetViolations()); err != nil {
			return err
		}
		return exit.Silently(exit.Failed)
	}
	return exit.Withf(exit.Failed, "the answer has an outcome that this version does not know: %s", answer.GetOutcome())
}
