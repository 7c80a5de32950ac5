package command

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/sigstore"
	"github.com/blackdice/shipwarden/internal/sigstore/sigstoretest"
	"github.com/blackdice/shipwarden/procedure"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func put(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAnApprovalIsSignedWithABundle: the text is printed, signed as `cosign sign-blob` does,
// and the bundle handed in. What comes of it holds.
func TestAnApprovalIsSignedWithABundle(t *testing.T) {
	t.Chdir(t.TempDir())
	s, state, address := demand(t)
	s.answer.Signing.Identities = []*releasev1.SignerIdentity{{Issuer: consenttest.Issuer, Subject: consenttest.Subject("alice")}}
	instance := sigstoretest.New(t)
	root := instance.Root(t)
	trusted, err := sigstore.ParseRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	document := policy.NewIndex(&policyv1.Procedure{
		Sigstore: &policyv1.Sigstore{TrustedRoot: policy.Digest(root)},
		People:   []*policyv1.Person{{Id: "alice", SigningIdentities: []*policyv1.PersonIdentity{{Issuer: consenttest.Issuer, Subject: consenttest.Subject("alice")}}}},
	})
	approve := func(args ...string) (code int, out, said string) {
		var stdout, stderr bytes.Buffer
		code = Main(t.Context(), append([]string{"approve", waiting, "--yes", "--comment", "fine", "--approval-url", address}, args...), Process{
			In: bytes.NewReader(nil), Out: &stdout, Err: &stderr, Getenv: func(string) string { return "" },
		})
		return code, stdout.String(), stderr.String()
	}
	if code, _, said := approve(); code != exit.Usage || !strings.Contains(said, "sign it: give --print-text, have cosign sign that as alice@shop.example by https://id.shop.example, and then --bundle") {
		t.Errorf("code %d, %s", code, said)
	}
	code, text, said := approve("--print-text")
	if code != exit.OK {
		t.Fatal(said)
	}
	put(t, "text", []byte(text))
	bundle := instance.SignText(t, consenttest.Subject("alice"), consenttest.Issuer, []byte(text), sigstoretest.Options{})
	put(t, "text.sigstore.json", bundle)
	put(t, "elsewhere", bundle)
	put(t, "old", []byte(`{"base64Signature":"","cert":"","rekorBundle":{}}`))
	put(t, "long", bytes.Repeat([]byte(" "), maxSigned+1))
	for _, args := range [][]string{{"--bundle", "text.sigstore.json"}, {"--signed", "text", "--bundle", "elsewhere"}} {
		s.taken = nil
		if code, _, said := approve(args...); code != exit.OK || len(s.taken) != 1 {
			t.Fatalf("%q: code %d: %s", args, code, said)
		}
		r := s.taken[0]
		a := procedure.Approval{Person: "alice", Given: time.Now(), Expires: r.GetSignature().GetExpires().AsTime(), Comment: r.GetComment(), ShownDigest: r.GetShownDigest(), Signature: r.GetSignature()}
		if _, err := consent.Verify(state, a, sigstore.Roots{policy.Digest(root): trusted}, document); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	s.taken = nil
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--bundle", "elsewhere"}, exit.Usage, "--bundle elsewhere: give --signed"},
		{[]string{"--bundle", "text.sigstore.json", "--sign-with", "key"}, exit.Usage, "one of them at a time"},
		{[]string{"--bundle", "text.sigstore.json", "--comment", "another"}, exit.Denied, "line 11 (comment)"},
		{[]string{"--signed", "text", "--bundle", "nowhere"}, exit.Usage, "no such file"},
		{[]string{"--signed", "text", "--bundle", "old"}, exit.Usage, "--bundle old: signature is not one of this approval: no bundle"},
		{[]string{"--signed", "text", "--bundle", "long"}, exit.Usage, "is no file of at most"},
		{[]string{"--signed", "text"}, exit.Usage, "text.sig: no such file"},
	} {
		if code, _, said := approve(c.args...); code != c.code || !strings.Contains(said, c.says) || len(s.taken) > 0 {
			t.Errorf("%q: code %d, sent %d, said %s", c.args, code, len(s.taken), said)
		}
	}
}

// archive is a recorder that has one record, and evidence.
type archive struct {
	recorderv1.UnimplementedRecorderServiceServer
	record []byte
	kept   map[string][]byte
}

func (a *archive) GetRecord(context.Context, *recorderv1.GetRecordRequest) (*recorderv1.GetRecordResponse, error) {
	return &recorderv1.GetRecordResponse{Document: a.record}, nil
}

func (a *archive) GetEvidence(r *recorderv1.GetEvidenceRequest, stream grpc.ServerStreamingServer[recorderv1.GetEvidenceResponse]) error {
	content, there := a.kept[r.GetDigest()]
	if !there {
		return status.Error(codes.NotFound, "there is none")
	}
	return stream.Send(&recorderv1.GetEvidenceResponse{Content: content})
}

// TestBundlesAreWrittenForCosign: with the trusted root, and a command whose words are the
// procedure document's, so that whatever the record says of the signer does not get there.
func TestBundlesAreWrittenForCosign(t *testing.T) {
	t.Chdir(t.TempDir())
	instance := sigstoretest.New(t)
	root, text := instance.Root(t), []byte("shipwarden approval v1\n")
	bundle := string(instance.SignText(t, "o'hara@shop.example", consenttest.Issuer, text, sigstoretest.Options{Stamped: true}))
	document := []byte("id: PROC-DEPLOY-001\nversion: \"1\"\nsigstore: {trusted_root: \"" + policy.Digest(root) + "\"}\npeople:\n" +
		"  - {id: ohara, name: O, signing_identities: [{issuer: \"" + consenttest.Issuer + "\", subject: \"o'hara@shop.example\"}]}\n")
	signed := func(person, subject string) map[string]any {
		return map[string]any{"person": person, "consent": map[string]any{"text": string(text), "bundle": bundle, "issuer": consenttest.Issuer, "subject": subject}}
	}
	record, err := json.Marshal(map[string]any{
		"procedure_digest": policy.Digest(document),
		"approvals":        []any{signed("ohara", "o'hara@shop.example"), signed("ohara", "$(reboot)"), map[string]any{"person": "ben"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	recorderv1.RegisterRecorderServiceServer(server, &archive{record: record, kept: map[string][]byte{policy.Digest(document): document, policy.Digest(root): root}})
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	var out, said bytes.Buffer
	if code := Main(t.Context(), []string{"record", waiting, "--signatures", "folder", "--recorder-url", listener.Addr().String()}, Process{
		In: bytes.NewReader(nil), Out: &out, Err: &said, Getenv: func(string) string { return "" },
	}); code != exit.OK {
		t.Fatalf("code %d: %s", code, said.String())
	}
	want := "cosign verify-blob --bundle folder/approval-1.sigstore.json --trusted-root folder/trusted_root.json" +
		` --certificate-identity 'o'\''hara@shop.example' --certificate-oidc-issuer '` + consenttest.Issuer + "' --insecure-ignore-sct --use-signed-timestamps folder/approval-1\n"
	if out.String() != want || strings.Contains(out.String(), "reboot") || !strings.Contains(said.String(), "which is no identity of ohara") {
		t.Errorf("it prints\n%s\nand not\n%s\nit says %s", out.String(), want, said.String())
	}
	for name, content := range map[string]string{"approval-1": string(text), "approval-1.sigstore.json": bundle, "trusted_root.json": string(root)} {
		if got, err := os.ReadFile(filepath.Join("folder", name)); err != nil || string(got) != content {
			t.Errorf("%s: %v", name, err)
		}
	}
	names, err := filepath.Glob("folder/*")
	if err != nil || !slices.Contains(names, "folder/approval-2") {
		t.Errorf("%q, %v", names, err)
	}
}
