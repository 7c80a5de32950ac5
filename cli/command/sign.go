package command

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/consent/signer"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/shown"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// signing is what the flags of approve say about the signature.
type signing struct {
	// key is the file of the key to sign with, text the file of a text that was signed
	// elsewhere, bundle that of the bundle that was made of it, and show says that the text
	// is to be written, and nothing sent.
	key, text, bundle string
	show              bool
}

// bundleEnding is how the file of a bundle ends that lies beside the text that it signs, as
// cosign has it.
const bundleEnding = ".sigstore.json"

// words is what somebody says with an approval, and for whom.
type words struct{ comment, standInFor string }

// asked counts the ways that were asked for.
func (v signing) asked() int {
	n := 0
	for _, a := range []bool{v.key != "", v.text != "", v.show} {
		if a {
			n++
		}
	}
	return n
}

// maxSigned bounds the files that are read, in bytes: a text has a dozen lines.
const maxSigned = 64 << 10

// toSign is what the person signs: made here, from what was shown here, and not taken
// from the service. Both digests are computed again, so that a service that shows one
// thing and has another one signed is found out (PD-A.3, PD-A.4).
func toSign(p *approvalv1.Pending, s *approvalv1.Signing, said words, signed, expires time.Time) ([]byte, *releasev1.ApprovalSignature, error) {
	if s.GetPerson() == "" {
		return nil, nil, exit.Withf(exit.Failed, "the approval service takes no signatures: it is older than this program")
	}
	document, _, err := shown.Document(p)
	if err != nil {
		return nil, nil, err
	}
	state := procedure.State{
		Release: p.GetRelease(), Request: p.GetRequest(), RequestedAt: p.GetRequested().AsTime(), ProcedureDigest: s.GetProcedureDigest(),
		Artifacts: p.GetArtifacts(), Previews: p.GetPreviews(), Chosen: p.GetChosen(),
	}
	state.ChangeDigest = procedure.ChangeDigest(state)
	if state.ChangeDigest != p.GetChangeDigest() || evidence.Digest(document) != p.GetShownDigest() {
		return nil, nil, exit.Withf(exit.Denied, "not signed: what was shown is not what the service has you sign "+
			"(change %s, shown %s); it may be newer than this program", terminal.Escape(p.GetChangeDigest()), terminal.Escape(p.GetShownDigest()))
	}
	signature := &releasev1.ApprovalSignature{Signed: timestamppb.New(signed), Expires: timestamppb.New(expires)}
	a := procedure.Approval{Person: s.GetPerson(), Comment: said.comment, ShownDigest: p.GetShownDigest(), Signature: signature}
	if said.standInFor != "" {
		a.StandIn = &releasev1.StandIn{Person: said.standInFor}
	}
	text, err := procedure.ApprovalText(state, a)
	return text, signature, err
}

// sign returns the signature that the flags ask for; nil where they ask for none.
func (a *app) sign(ctx context.Context, answer *approvalv1.GetPendingResponse, said words, v signing) (*releasev1.ApprovalSignature, error) {
	p, s := answer.GetPending(), answer.GetSigning()
	switch {
	case v.key != "":
		text, signature, err := toSign(p, s, said, time.Now().Truncate(time.Second), s.GetExpires().AsTime())
		if err != nil {
			return nil, err
		}
		signature.Armored, err = a.sshKeygen(ctx, v.key, text)
		return signature, err
	case v.text != "":
		return signedElsewhere(p, s, said, v)
	case s.GetRequired() && said.standInFor == "":
		return nil, exit.Withf(exit.Usage, "approve %s: your approval counts only if you sign it: %s", p.GetRelease(), waysToSign(s))
	}
	return nil, nil //nolint:nilnil // None is asked for.
}

// sshKeygen has the program sign that people have for their keys: it asks for a
// passphrase or a touch by itself, and where the file is that of a public key it has the
// agent sign.
func (a *app) sshKeygen(ctx context.Context, key string, text []byte) (string, error) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return "", exit.Withf(exit.Usage, "--sign-with needs ssh-keygen of OpenSSH: %v; with another tool sign what --print-text prints", err)
	}
	// The arguments are words of this program and the name of a file; there is no shell.
	cmd := exec.CommandContext(ctx, program, "-Y", "sign", "-n", procedure.SignatureNamespace, "-f", key) //nolint:gosec // See above.
	cmd.Stdin = bytes.NewReader(text)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", exit.Withf(exit.Usage, "--sign-with %s: ssh-keygen: %v\n%s", key, err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}

// waysToSign are those that the caller has, by the procedure document.
func waysToSign(s *approvalv1.Signing) string {
	var ways, as []string
	if len(s.GetKeys()) > 0 {
		ways = append(ways, "give --sign-with with your SSH key, or --print-text and then --signed")
	}
	for _, id := range s.GetIdentities() {
		as = append(as, signer.Identity(id.GetIssuer(), id.GetSubject()))
	}
	if len(as) > 0 {
		ways = append(ways, "give --print-text, have cosign sign that as "+terminal.Escape(strings.Join(as, " or "))+", and then --bundle")
	}
	if len(ways) == 0 {
		return "the procedure document has no key and no identity of yours with which you could now"
	}
	return strings.Join(ways, "; or ")
}

// settled fills in which file is the text and which the bundle where one of them is named
// and the other lies beside it.
func (v signing) settled() (signing, error) {
	if v.bundle != "" && v.text == "" {
		text, beside := strings.CutSuffix(v.bundle, bundleEnding)
		if !beside {
			return v, exit.Withf(exit.Usage, "--bundle %s: give --signed with the text that it signs, too: only where the bundle is called like the text with %s behind it is it known", v.bundle, bundleEnding)
		}
		v.text = text
	}
	return v, nil
}

// signedElsewhere takes a text that --print-text printed, and the signature beside it, or a
// bundle.
func signedElsewhere(p *approvalv1.Pending, s *approvalv1.Signing, said words, v signing) (*releasev1.ApprovalSignature, error) {
	file := v.text
	text, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	beside := file + ".sig"
	if v.bundle != "" {
		beside = v.bundle
	}
	made, err := readSmall(beside)
	if err != nil {
		return nil, err
	}
	signed, err := lineTime(string(text), "signed")
	if err != nil {
		return nil, exit.Withf(exit.Usage, "--signed %s: %v", file, err)
	}
	expires, err := lineTime(string(text), "expires")
	if err != nil {
		return nil, exit.Withf(exit.Usage, "--signed %s: %v", file, err)
	}
	want, signature, err := toSign(p, s, said, signed, expires)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(text, want) {
		return nil, exit.Withf(exit.Denied, "--signed %s: %s: this is not what there is to be signed now: print it again", file, difference(string(text), string(want)))
	}
	if v.bundle == "" {
		signature.Armored = string(made)
		return signature, nil
	}
	signature.Bundle = string(made)
	if signature, err = consent.Identified(signature); err != nil {
		return nil, exit.Withf(exit.Usage, "--bundle %s: %v", v.bundle, err)
	}
	return signature, nil
}

// lineTime is the time that stands in a line of a signed text.
func lineTime(text, name string) (time.Time, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+": "); ok {
			return time.Parse(time.RFC3339Nano, value)
		}
	}
	return time.Time{}, fmt.Errorf("it has no line %q", name)
}

// difference names the first line of a text that is not as it should be.
func difference(text, want string) string {
	lines := strings.Split(text, "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(lines) || lines[i] != line {
			name, _, _ := strings.Cut(line, ":")
			return fmt.Sprintf("line %d (%s) should be %q", i+1, name, line)
		}
	}
	return "there is more behind it"
}

func readSmall(file string) ([]byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("read what was signed: %w", err))
	}
	if !info.Mode().IsRegular() || info.Size() > maxSigned {
		return nil, exit.Withf(exit.Usage, "read what was signed: %s is no file of at most %d bytes", file, maxSigned)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, exit.With(exit.Usage, fmt.Errorf("read what was signed: %w", err))
	}
	return data, nil
}
