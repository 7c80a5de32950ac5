package command

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/consent"
	"github.com/blackdice/shipwarden/internal/evidence"
	"github.com/blackdice/shipwarden/internal/policy"
	"github.com/blackdice/shipwarden/internal/shown"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

// signatures is an approval service that demands a signature and keeps what it is sent.
type signatures struct {
	approvalv1.UnimplementedApprovalServiceServer
	answer *approvalv1.GetPendingResponse
	taken  []*approvalv1.ApproveRequest
}

func (s *signatures) GetPending(context.Context, *approvalv1.GetPendingRequest) (*approvalv1.GetPendingResponse, error) {
	return s.answer, nil
}

func (s *signatures) Approve(_ context.Context, r *approvalv1.ApproveRequest) (*approvalv1.ApproveResponse, error) {
	s.taken = append(s.taken, r)
	return &approvalv1.ApproveResponse{Authorized: true}, nil
}

// demand starts the service; the state is the release as the record has it.
func demand(t *testing.T) (*signatures, procedure.State, string) {
	t.Helper()
	p := pendingRelease()
	state := procedure.State{
		Release: p.GetRelease(), Request: p.GetRequest(), RequestedAt: p.GetRequested().AsTime(), ProcedureDigest: artifactDigest,
		Artifacts: p.GetArtifacts(), Previews: p.GetPreviews(),
	}
	state.ChangeDigest = procedure.ChangeDigest(state)
	p.ChangeDigest = state.ChangeDigest
	document, _, err := shown.Document(p)
	if err != nil {
		t.Fatal(err)
	}
	p.ShownDigest = evidence.Digest(document)
	s := &signatures{answer: &approvalv1.GetPendingResponse{Pending: p, Signing: &approvalv1.Signing{
		Person: "alice", ProcedureDigest: artifactDigest, Required: true, Expires: timestamppb.New(time.Now().Add(time.Hour)),
	}}}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	approvalv1.RegisterApprovalServiceServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	return s, state, listener.Addr().String()
}

func shell(t *testing.T, in []byte, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return out
}

// TestAnApprovalIsSignedAsPeopleSign uses the programs of OpenSSH: a key in a file, one
// that only the agent has, and a text that is signed by hand. What comes of it holds for
// us, and for stock ssh-keygen.
func TestAnApprovalIsSignedAsPeopleSign(t *testing.T) {
	t.Chdir(t.TempDir())
	s, state, address := demand(t)
	shell(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
	public, err := os.ReadFile("key.pub")
	if err != nil {
		t.Fatal(err)
	}
	document := &policyv1.Procedure{People: []*policyv1.Person{{Id: "alice", SigningKeys: []*policyv1.PersonKey{{Ssh: string(public)}}}}}
	if err := os.WriteFile("allowed", []byte(consent.AllowedSigners(document)), 0o600); err != nil {
		t.Fatal(err)
	}
	approve := func(args ...string) (code int, out, said string) {
		var stdout, stderr bytes.Buffer
		code = Main(t.Context(), append([]string{"approve", waiting, "--comment", "fine", "--approval-url", address}, args...), Process{
			In: bytes.NewReader(nil), Out: &stdout, Err: &stderr, Getenv: func(string) string { return "" },
		})
		return code, stdout.String(), stderr.String()
	}
	holds := func(t *testing.T, args ...string) {
		t.Helper()
		s.taken = nil
		if code, _, said := approve(args...); code != exit.OK || len(s.taken) != 1 {
			t.Fatalf("code %d: %s", code, said)
		}
		r := s.taken[0]
		a := procedure.Approval{Person: "alice", Given: time.Now(), Expires: r.GetSignature().GetExpires().AsTime(), Comment: r.GetComment(), ShownDigest: r.GetShownDigest(), Signature: r.GetSignature()}
		if _, err := consent.Verify(state, a, nil, policy.NewIndex(document)); err != nil {
			t.Error(err)
		}
		text, err := procedure.ApprovalText(state, a)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("sig", []byte(r.GetSignature().GetArmored()), 0o600); err != nil {
			t.Fatal(err)
		}
		out := shell(t, text, "ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "alice", "-n", procedure.SignatureNamespace, "-s", "sig")
		if !strings.Contains(string(out), "Good \"approval@shipwarden\" signature for alice") {
			t.Errorf("ssh-keygen says %s", out)
		}
	}
	t.Run("with a key in a file", func(t *testing.T) { holds(t, "--sign-with", "key", "--yes") })
	t.Run("by hand", func(t *testing.T) {
		code, text, said := approve("--print-text")
		if code != exit.OK || !strings.HasPrefix(text, "shipwarden approval v1\nrelease: "+waiting+"\n") {
			t.Fatalf("code %d, %q, %s", code, text, said)
		}
		if err := os.WriteFile("text", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		shell(t, nil, "ssh-keygen", "-q", "-Y", "sign", "-n", procedure.SignatureNamespace, "-f", "key", "text")
		holds(t, "--signed", "text") // It names the change: nobody has to be asked.
		if code, _, said := approve("--signed", "text", "--comment", "another"); code != exit.Denied || !strings.Contains(said, "line 11 (comment)") {
			t.Errorf("with another comment: code %d, %s", code, said)
		}
	})
	t.Run("from an agent", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "a")
		agent := exec.CommandContext(t.Context(), "ssh-agent", "-D", "-a", socket)
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
		t.Setenv("SSH_AUTH_SOCK", socket)
		for deadline := time.Now().Add(10 * time.Second); ; {
			if conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket); err == nil {
				_ = conn.Close()
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		shell(t, nil, "ssh-add", "-q", "key")
		if err := os.Remove("key"); err != nil {
			t.Fatal(err)
		}
		holds(t, "--sign-with", "key.pub", "--yes")
	})
}

// TestWhatIsNotShownIsNotSigned: the service shows one thing and has another one signed.
func TestWhatIsNotShownIsNotSigned(t *testing.T) {
	t.Chdir(t.TempDir())
	shell(t, nil, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key")
	other := "sha256:" + strings.Repeat("e", 64)
	for _, c := range []struct {
		name   string
		change func(*approvalv1.GetPendingResponse)
		args   []string
		code   int
		says   string
	}{
		{"another change", func(r *approvalv1.GetPendingResponse) { r.Pending.ChangeDigest = other }, []string{"--sign-with", "key"}, exit.Denied, "what was shown is not what the service has you sign"},
		{"another version than the change's", func(r *approvalv1.GetPendingResponse) { r.Pending.Request.Version = "1.4.3" }, []string{"--sign-with", "key"}, exit.Denied, "what was shown is not"},
		{"another gate than was shown", func(r *approvalv1.GetPendingResponse) { r.Pending.Gates = nil }, []string{"--sign-with", "key"}, exit.Denied, "what was shown is not"},
		{"another document", func(r *approvalv1.GetPendingResponse) { r.Signing.ProcedureDigest = other }, []string{"--sign-with", "key"}, exit.Denied, "what was shown is not"},
		{"a service that takes none", func(r *approvalv1.GetPendingResponse) { r.Signing = nil }, []string{"--sign-with", "key"}, exit.Failed, "takes no signatures"},
		{"no way to sign", func(*approvalv1.GetPendingResponse) {}, nil, exit.Usage, "has no key and no identity of yours"},
		{"no way to sign, and a key", func(r *approvalv1.GetPendingResponse) { r.Signing.Keys = []string{"SHA256:…"} }, nil, exit.Usage, "counts only if you sign it: give --sign-with"},
		{"no such key", func(*approvalv1.GetPendingResponse) {}, []string{"--sign-with", "nokey"}, exit.Usage, "--sign-with nokey: ssh-keygen"},
		{"no such text", func(*approvalv1.GetPendingResponse) {}, []string{"--signed", "notext"}, exit.Usage, "no such file"},
		{"two ways", func(*approvalv1.GetPendingResponse) {}, []string{"--signed", "text", "--sign-with", "key"}, exit.Usage, "one of them at a time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, address := demand(t)
			c.change(s.answer)
			var said bytes.Buffer
			code := Main(t.Context(), append([]string{"approve", waiting, "--yes", "--approval-url", address}, c.args...), Process{
				In: bytes.NewReader(nil), Out: &bytes.Buffer{}, Err: &said, Getenv: func(string) string { return "" },
			})
			if code != c.code || !strings.Contains(said.String(), c.says) || len(s.taken) > 0 {
				t.Errorf("code %d, sent %d, said %s", code, len(s.taken), said.String())
			}
		})
	}
}
