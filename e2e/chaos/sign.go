package chaos

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/procedure"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// signers are those whose approval counts only with a signature of their own.
var signers = []string{"carol", "dave", "erin", "frank"}

// personKeys makes a key for each of them.
func personKeys(dir string) (map[string]ssh.Signer, error) {
	keys := map[string]ssh.Signer{}
	for _, person := range signers {
		key, err := rig.Key(filepath.Join(dir, "person-"+person+".pem"))
		if err != nil {
			return nil, err
		}
		if keys[person], err = ssh.NewSignerFromKey(key); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// stranger is a key of nobody in the procedure document.
func stranger() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// signed is a person's approval of a change, signed with a key.
func signed(p *approvalv1.Pending, s *approvalv1.Signing, digest string, key ssh.Signer) (*releasev1.ApprovalSignature, error) {
	return sign(procedure.State{
		Release: p.GetRelease(), Request: p.GetRequest(), RequestedAt: p.GetRequested().AsTime(),
		ProcedureDigest: s.GetProcedureDigest(), ChangeDigest: digest,
	}, procedure.Approval{Person: s.GetPerson(), ShownDigest: p.GetShownDigest()}, s.GetExpires().AsTime(), key)
}

// sign signs an approval as `ssh-keygen -Y sign` does, by what OpenSSH says of the format
// in PROTOCOL.sshsig.
func sign(state procedure.State, a procedure.Approval, expires time.Time, key ssh.Signer) (*releasev1.ApprovalSignature, error) {
	a.Signature = &releasev1.ApprovalSignature{Signed: timestamppb.New(time.Now()), Expires: timestamppb.New(expires)}
	text, err := procedure.ApprovalText(state, a)
	if err != nil {
		return nil, err
	}
	const magic, hash = "SSHSIG", "sha512"
	sum := sha512.Sum512(text)
	signature, err := key.Sign(rand.Reader, append([]byte(magic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Sum                       []byte
	}{procedure.SignatureNamespace, "", hash, sum[:]})...))
	if err != nil {
		return nil, err
	}
	a.Signature.Armored = string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: append([]byte(magic), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, key.PublicKey().Marshal(), procedure.SignatureNamespace, "", hash, ssh.Marshal(signature)})...)}))
	return a.Signature, nil
}
