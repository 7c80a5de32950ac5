package command

import (
	"bufio"
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

var digestPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// approval is what the flags of approve say.
type approval struct {
	digest, comment string
	standInFor      string
	yes             bool
	sign            signing
}

// words are what the person says that stands in the signed text.
func (v *approval) words() words { return words{comment: v.comment, standInFor: v.standInFor} }

func newApprove(a *app) *cobra.Command {
	v := &approval{}
	cmd := &cobra.Command{
		Use:   "approve RELEASE",
		Short: "Approve a release, after a look at it",
		Long: "Shows what an approver has to see (what would change, gates, findings, risk, the\n" +
			"way back, who has approved), and asks. The approval is for exactly the change\n" +
			"that was shown; if it changes, the approval does not count.\n\n" +
			"Without a terminal, --digest names the change that was looked at elsewhere, a text\n" +
			"that was signed elsewhere names its own, and --yes takes the present one.\n\n" +
			"Where the procedure demands it, you sign what you approve with your own SSH key.\n" +
			"--sign-with has ssh-keygen do that: with the file of a private key, of a security\n" +
			"key, or of the public key of one that the SSH agent has. Any other tool can sign\n" +
			"what --print-text prints, in the namespace approval@shipwarden; --signed takes that\n" +
			"file and the signature beside it, with the ending .sig. Where the procedure knows\n" +
			"you by an identity of a sigstore instance, you may sign that text with cosign\n" +
			"instead: --bundle takes what `cosign sign-blob --bundle` wrote (docs/approvals.md).",
		Example: "  shipwarden approve shop-k7q2m3xw5d8ta4bc --comment 'looked at the diff'\n" +
			"  shipwarden approve shop-k7q2m3xw5d8ta4bc --sign-with ~/.ssh/id_ed25519\n" +
			"  shipwarden approve shop-k7q2m3xw5d8ta4bc --signed text --bundle text.sigstore.json\n" +
			"  shipwarden approve shop-k7q2m3xw5d8ta4bc --digest sha256:…",
		Args:              wholeRelease,
		ValidArgsFunction: a.complete(true),
		RunE:              a.run(func(cmd *cobra.Command, args []string) error { return a.approve(cmd.Context(), args[0], v) }),
	}
	cmd.Flags().StringVar(&v.digest, "digest", "", "change digest that is approved; any other is refused")
	cmd.Flags().StringVar(&v.comment, "comment", "", "what to say about it")
	cmd.Flags().BoolVarP(&v.yes, "yes", "y", false, "do not ask")
	cmd.Flags().StringVar(&v.standInFor, "for", "", "person in whose place the approval is given, as their stand-in")
	cmd.Flags().StringVar(&v.sign.key, "sign-with", "", "file of the SSH key that signs the approval")
	cmd.Flags().BoolVar(&v.sign.show, "print-text", false, "print what there is to be signed, and approve nothing")
	cmd.Flags().StringVar(&v.sign.text, "signed", "", "file with the text that was signed elsewhere")
	cmd.Flags().StringVar(&v.sign.bundle, "bundle", "", "file with the sigstore bundle of that text (default text: the bundle's name without .sigstore.json)")
	return cmd
}

func (a *app) approve(ctx context.Context, release string, v *approval) error {
	if v.digest != "" && !digestPattern.MatchString(v.digest) {
		return exit.Withf(exit.Usage, "--digest %q: must be sha256: and 64 lower-case hexadecimal digits", v.digest)
	}
	var err error
	if v.sign, err = v.sign.settled(); err != nil {
		return err
	}
	if v.sign.asked() > 1 {
		return exit.Withf(exit.Usage, "--sign-with, --print-text and --signed: one of them at a time")
	}
	// Whoever signed a text elsewhere has decided then, on the change that it names.
	ask := !v.yes && v.digest == "" && !v.sign.show && v.sign.text == ""
	if ask && !a.process.InTerminal {
		return exit.Withf(exit.Usage, "approve %s: nobody to ask here: give --digest with the change that was looked at, or --yes", release)
	}
	client, done, err := a.approval()
	if err != nil {
		return err
	}
	defer done()
	shown, err := a.getPending(ctx, client, release)
	if err != nil {
		return err
	}
	pending, page := shown.GetPending(), a.out
	if v.sign.show {
		page = a.process.Err // the text alone goes where a tool reads it
	}
	if err := show.Decide(page, pending); err != nil {
		return err
	}
	if !pending.GetMayApprove() && v.standInFor == "" {
		return exit.Withf(exit.Denied, "approve %s: you may not: %s", release, terminal.Escape(pending.GetMayNotReason()))
	}
	if v.digest != "" && v.digest != pending.GetChangeDigest() {
		return exit.Withf(exit.Denied, "approve %s: the change is %s now, not %s: look again", release, terminal.Escape(pending.GetChangeDigest()), v.digest)
	}
	if v.sign.show {
		s := shown.GetSigning()
		text, _, err := toSign(pending, s, v.words(), time.Now().Truncate(time.Second), s.GetExpires().AsTime())
		if err != nil {
			return err
		}
		_, err = a.out.Write(text)
		return err
	}
	if ask && !a.confirm(ctx, "\nApprove this change?") {
		return exit.Withf(exit.Failed, "not approved")
	}
	signature, err := a.sign(ctx, shown, v.words(), v.sign)
	if err != nil {
		return err
	}
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.Approve(ctx, &approvalv1.ApproveRequest{
		Release: release, ChangeDigest: pending.GetChangeDigest(), Comment: v.comment, ShownDigest: pending.GetShownDigest(),
		Signature: signature, StandInFor: v.standInFor,
	})
	if err != nil {
		return exit.Call("approve "+release, err)
	}
	switch {
	case answer.GetAuthorized():
		a.say("\napproved; %s is authorized", release)
	case len(answer.GetMissing()) > 0:
		a.say("\napproved; still missing: %s", terminal.Escape(show.Quorum(answer.GetMissing())))
	default:
		a.say("\napproved")
	}
	return nil
}

func (a *app) getPending(ctx context.Context, client approvalv1.ApprovalServiceClient, release string) (*approvalv1.GetPendingResponse, error) {
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := client.GetPending(ctx, &approvalv1.GetPendingRequest{Release: release})
	if err != nil {
		return nil, exit.Call("approve "+release, err)
	}
	return answer, nil
}

// confirm asks a question and takes nothing but a yes for yes. It does not outlive
// ctx: whoever presses Ctrl-C has answered.
func (a *app) confirm(ctx context.Context, question string) bool {
	_, _ = a.process.Err.Write([]byte(question + " [y/N] "))
	answered := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.process.In).ReadString('\n')
		answered <- line
	}()
	select {
	case <-ctx.Done():
		return false
	case line := <-answered:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true
		}
	}
	return false
}
