package command

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
)

// lastFlag says against how many of the newest releases a proposed document is held, before
// anybody approves it or puts it into effect (N-18).
func lastFlag(f *pflag.FlagSet) *int {
	return f.Int("last", 0, "also say which of so many of the newest releases would have been answered otherwise under it")
}

func checkLast(last int) error {
	if last < 0 || last > 10_000 {
		return exit.Withf(exit.Usage, "--last %d: must lie between 0 and 10000", last)
	}
	return nil
}

// compareWith shows which of the newest releases would have been answered otherwise under a
// document, behind all else that is shown of it.
func (a *app) compareWith(ctx context.Context, what string, document []byte, last int) error {
	out, looked, err := a.compared(ctx, what+" --last", document, last)
	if err != nil {
		return err
	}
	a.say("\n%d of the newest %d releases would have been answered otherwise", len(out.GetDifferences()), looked)
	if len(out.GetDifferences()) == 0 {
		return nil
	}
	return show.Differences(a.out, out.GetDifferences())
}

// compareProposed is compareWith for a document that is proposed: it is got from the record
// by its digest, and is no other one.
func (a *app) compareProposed(ctx context.Context, what, digest string, last int) error {
	if last == 0 {
		return nil
	}
	client, done, err := a.recorder()
	if err != nil {
		return err
	}
	defer done()
	document, err := a.getEvidence(ctx, client, digest)
	if err != nil {
		return err
	}
	return a.compareWith(ctx, what, document, last)
}
