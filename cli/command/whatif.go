package command

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/submit"
	"github.com/blackdice/shipwarden/internal/policy"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
)

// comparedAtOnce is how many releases one call compares.
const comparedAtOnce = 50

// supposition is what the flags of what-if say.
type supposition struct {
	file, procedure string
	evidence        []string
	last            int
	form            *form
}

func newWhatIf(a *app) *cobra.Command {
	s := &supposition{}
	cmd := &cobra.Command{
		Use:   "what-if {-f FILE | --procedure FILE --last N}",
		Short: "Go through the procedure without doing anything",
		Long: "With -f: goes through the whole procedure with a request as if it were sent now, and\n" +
			"shows what each step would say. With --procedure: lists those of the last N recorded\n" +
			"releases that would have been answered otherwise under another procedure document,\n" +
			"decision by decision, each as of its moment. Nothing is stored in either case.\n\n" +
			"The exit code is 1 where the request would be refused, and 0 otherwise.",
		Example: "  shipwarden what-if -f release.yaml --evidence tests.dsse.json\n" +
			"  shipwarden what-if --procedure procedure-2.yaml --last 200",
		Args: cobra.NoArgs,
		RunE: a.run(func(cmd *cobra.Command, _ []string) error {
			if err := s.form.check(); err != nil {
				return err
			}
			if s.procedure != "" {
				return a.compare(cmd.Context(), s)
			}
			return a.suppose(cmd.Context(), s)
		}),
	}
	f := cmd.Flags()
	f.StringVarP(&s.file, "filename", "f", "", "file with the request, - for standard input")
	f.StringArrayVar(&s.evidence, "evidence", nil, "file with a DSSE envelope or a sigstore bundle for the gates; may be repeated")
	f.StringVar(&s.procedure, "procedure", "", "file with another procedure document, - for standard input")
	f.IntVar(&s.last, "last", 50, "how many of the newest releases are compared")
	s.form = outputFlag(cmd, formTable, formJSON, formYAML)
	cmd.MarkFlagsOneRequired("filename", "procedure")
	cmd.MarkFlagsMutuallyExclusive("filename", "procedure")
	cmd.MarkFlagsMutuallyExclusive("filename", "last")
	cmd.MarkFlagsMutuallyExclusive("procedure", "evidence")
	return cmd
}

// suppose asks what would come of a request.
func (a *app) suppose(ctx context.Context, s *supposition) error {
	data, name, err := a.readFile(s.file)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	request, err := submit.Load(data, name, s.evidence)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	body, err := proto.Marshal(request)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	client, done, err := a.approval()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.WhatIf(ctx, &approvalv1.WhatIfRequest{Request: body})
	if err != nil {
		return exit.Call("what-if", err)
	}
	if done, err := a.message(s.form, answer); err != nil {
		return err
	} else if !done {
		if err := show.WhatIf(a.out, answer); err != nil {
			return err
		}
	}
	for _, step := range answer.GetOutlook().GetSteps() {
		if step.GetStanding() == approvalv1.OutlookStep_STANDING_REFUSED {
			return exit.Silently(exit.Failed)
		}
	}
	return nil
}

// compare asks which of the newest releases would have been answered otherwise.
func (a *app) compare(ctx context.Context, s *supposition) error {
	if s.last < 1 || s.last > 10_000 {
		return exit.Withf(exit.Usage, "--last %d: must lie between 1 and 10000", s.last)
	}
	document, name, err := a.readFile(s.procedure)
	if err != nil {
		return exit.With(exit.Usage, err)
	}
	if _, err := policy.Parse(document, name); err != nil {
		return exit.With(exit.Usage, err)
	}
	out, looked, err := a.compared(ctx, "what-if --procedure", document, s.last)
	if err != nil {
		return err
	}
	a.say("%d of %d releases would have been answered otherwise", len(out.GetDifferences()), looked)
	if done, err := a.message(s.form, out); done || err != nil {
		return err
	}
	if len(out.GetDifferences()) == 0 {
		return nil
	}
	return show.Differences(a.out, out.GetDifferences())
}

// compared asks which of the newest releases would have been answered otherwise under a
// document, and says how many there were.
func (a *app) compared(ctx context.Context, what string, document []byte, last int) (*approvalv1.CompareProcedureResponse, int, error) {
	releases, err := a.newest(ctx, last)
	if err != nil {
		return nil, 0, err
	}
	client, done, err := a.approval()
	if err != nil {
		return nil, 0, err
	}
	defer done()
	out := &approvalv1.CompareProcedureResponse{}
	for rest := releases; len(rest) > 0; {
		some := rest[:min(comparedAtOnce, len(rest))]
		rest = rest[len(some):]
		answer, err := func() (*approvalv1.CompareProcedureResponse, error) {
			ctx, cancel := a.call(ctx)
			defer cancel()
			return client.CompareProcedure(ctx, &approvalv1.CompareProcedureRequest{Document: document, Releases: some})
		}()
		if err != nil {
			return nil, 0, exit.Call(what, err)
		}
		out.Differences = append(out.Differences, answer.GetDifferences()...)
	}
	return out, len(releases), nil
}

// newest are the ids of the newest releases on record.
func (a *app) newest(ctx context.Context, last int) ([]string, error) {
	client, done, err := a.recorder()
	if err != nil {
		return nil, err
	}
	defer done()
	page, _, err := a.pages(ctx, client, &recorderv1.ListReleasesRequest{}, last)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(page.GetReleases()))
	for _, r := range page.GetReleases() {
		ids = append(ids, r.GetRelease())
	}
	return ids, nil
}
