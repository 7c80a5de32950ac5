package document_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/consent/consenttest"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/recorder/document"
)

// TestASignedApprovalIsCheckedWithoutUs: from the record alone, with the program that
// everybody has (PD-A.4).
func TestASignedApprovalIsCheckedWithoutUs(t *testing.T) {
	h := history(t, procedure.PhaseApprove)
	key := sshsigtest.Key(t, "anna")
	h.Do(t, "anna", consenttest.Approval(t, h.State(), "anna", key, h.Now))
	h.Do(t, "ben", proceduretest.Approval(h.State(), h.Now.Add(time.Hour)))

	var record document.Record
	if err := json.Unmarshal(encode(t, document.Build(h.Release, messages(h))), &record); err != nil {
		t.Fatal(err)
	}
	c := record.Approvals[0].Consent
	if c == nil || record.Approvals[1].Consent != nil {
		t.Fatalf("%+v, %+v", c, record.Approvals[1].Consent)
	}
	folder := t.TempDir()
	allowed, signature := filepath.Join(folder, "allowed"), filepath.Join(folder, "signature")
	signers := consent.AllowedSigners(&policyv1.Procedure{People: []*policyv1.Person{
		{Id: "anna", SigningKeys: []*policyv1.PersonKey{{Ssh: sshsigtest.Public(key)}}},
		{Id: "mallory", SigningKeys: []*policyv1.PersonKey{{Ssh: sshsigtest.Public(sshsigtest.Key(t, "mallory")), Revoked: true}}},
	}})
	if strings.Contains(signers, "mallory") {
		t.Errorf("a key that was revoked may sign: %s", signers)
	}
	for file, content := range map[string]string{allowed: signers, signature: c.Signature} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(person, text string) error {
		cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", person, "-n", c.Namespace, "-s", signature)
		cmd.Stdin = strings.NewReader(text)
		return cmd.Run()
	}
	if err := verify("anna", c.Text); err != nil {
		t.Errorf("ssh-keygen refuses it: %v\n%s\n%s", err, c.Text, c.Signature)
	}
	if verify("anna", strings.Replace(c.Text, h.Release, "shop-aaaaaaaaaaaaaaaa", 1)) == nil || verify("ben", c.Text) == nil {
		t.Error("ssh-keygen takes it for another release, or another person")
	}
	// The document for reading shows the same text and signature.
	read := document.Build(h.Release, messages(h)).Markdown()
	for line := range strings.Lines(c.Text + c.Signature) {
		if line = strings.TrimRight(line, "\n"); !bytes.Contains(read, []byte("    "+line+"\n")) {
			t.Errorf("the document does not show %q", line)
		}
	}
}

// TestABundleIsOnRecordToTheByte: what somebody needs to check it with cosign, and as whom
// it was signed. That it verifies is shown where it is verified.
func TestABundleIsOnRecordToTheByte(t *testing.T) {
	h := history(t, procedure.PhaseApprove)
	event := proceduretest.Approval(h.State(), h.Now.Add(time.Hour))
	event.GetApprovalGiven().Signature = &releasev1.ApprovalSignature{
		Signed: timestamppb.New(h.Now), Expires: timestamppb.New(h.Now.Add(time.Hour)), Bundle: "{\"mediaType\": \"<&>\"}\n",
		Identity: &releasev1.SignerIdentity{Issuer: "https://id.shop.example", Subject: "anna@shop.example"},
	}
	h.Do(t, "anna", event)
	text, err := procedure.ApprovalText(h.State(), h.State().Approvals[0])
	if err != nil {
		t.Fatal(err)
	}
	built := document.Build(h.Release, messages(h))
	var record document.Record
	if err := json.Unmarshal(encode(t, built), &record); err != nil {
		t.Fatal(err)
	}
	want := &document.Consent{Text: string(text), Bundle: "{\"mediaType\": \"<&>\"}\n", Issuer: "https://id.shop.example", Subject: "anna@shop.example"}
	if diff := cmp.Diff(want, record.Approvals[0].Consent); diff != "" {
		t.Error(diff)
	}
	for _, says := range []string{
		"`sigstore` `anna@shop.example` by `https://id.shop.example`", "What anna signed, as `anna@shop.example` of `https://id.shop.example`, and the bundle:\n",
		"    person: anna\n", "    {\"mediaType\": \"<&>\"}\n", "approved by anna, signed as anna\\@shop.example of ",
	} {
		if !bytes.Contains(built.Markdown(), []byte(says)) {
			t.Errorf("the document does not say %q:\n%s", says, built.Markdown())
		}
	}
}
