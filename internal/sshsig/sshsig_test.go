package sshsig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/internal/sshsig"
	"github.com/blackdice/shipwarden/internal/sshsig/sshsigtest"
)

const namespace = "approval@shipwarden"

var text = []byte("shipwarden approval v1\nrelease: shop-1\n")

// TestWhatSSHKeygenSignsHolds has the program that people have make the signature, with
// every kind of key that it makes without hardware.
func TestWhatSSHKeygenSignsHolds(t *testing.T) {
	for _, kind := range [][]string{{"ed25519"}, {"ecdsa", "-b", "256"}, {"ecdsa", "-b", "384"}, {"ecdsa", "-b", "521"}, {"rsa", "-b", "2048"}} {
		t.Run(strings.Join(kind, " "), func(t *testing.T) {
			key := filepath.Join(t.TempDir(), "key")
			keygen(t, nil, append([]string{"-q", "-N", "", "-f", key, "-t"}, kind...)...)
			armored := keygen(t, text, "-q", "-Y", "sign", "-n", namespace, "-f", key)
			public, err := os.ReadFile(key + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			want, err := sshsig.ParseKey(string(public))
			if err != nil {
				t.Fatal(err)
			}
			s, err := sshsig.Parse(armored)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(namespace, text); err != nil || !bytes.Equal(s.Key.Marshal(), want.Marshal()) {
				t.Errorf("%v, by %s", err, sshsig.Fingerprint(s.Key))
			}
			if err := s.Verify(namespace, append(bytes.Clone(text), '\n')); !errors.Is(err, sshsig.ErrInvalid) {
				t.Errorf("another text: %v", err)
			}
			if err := s.Verify("git", text); !errors.Is(err, sshsig.ErrInvalid) {
				t.Errorf("another namespace: %v", err)
			}
		})
	}
}

func keygen(t *testing.T, in []byte, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", args...)
	cmd.Stdin = bytes.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen %v: %v\n%s", args, err, complaint.String())
	}
	return string(out)
}

func rsaKey(t *testing.T, bits int) ssh.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, private)
}

func signer(t *testing.T, private any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWhatDoesNotHold(t *testing.T) {
	anna, ben := sshsigtest.Key(t, "anna"), sshsigtest.Key(t, "ben")
	big := rsaKey(t, 2048)
	fine := sshsigtest.Options{Namespace: namespace}
	for _, c := range []struct {
		name    string
		armored string
		err     error
	}{
		{"for Git", sshsigtest.Sign(t, anna, "git", text), sshsig.ErrInvalid},
		{"for nothing", sshsigtest.Sign(t, anna, "", text), sshsig.ErrInvalid},
		{"of another text", sshsigtest.Sign(t, anna, namespace, []byte("something else")), sshsig.ErrInvalid},
		{"RSA with SHA-1", sshsigtest.SignWith(t, big, text, sshsigtest.Options{Namespace: namespace, Algorithm: ssh.KeyAlgoRSA}), sshsig.ErrInvalid},
		{"hash MD5", sshsigtest.SignWith(t, anna, text, sshsigtest.Options{Namespace: namespace, Hash: "md5"}), sshsig.ErrInvalid},
		{"version 2", sshsigtest.SignWith(t, anna, text, sshsigtest.Options{Namespace: namespace, Version: 2}), sshsig.ErrMalformed},
		{"bytes behind it", sshsigtest.SignWith(t, anna, text, sshsigtest.Options{Namespace: namespace, Rest: []byte{1}}), sshsig.ErrInvalid},
		{"RSA of 1024 bits", sshsigtest.SignWith(t, rsaKey(t, 1024), text, sshsigtest.Options{Namespace: namespace, Algorithm: ssh.KeyAlgoRSASHA256}), sshsig.ErrKey},
		{"nothing", "", sshsig.ErrMalformed},
		{"a PGP signature", "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n", sshsig.ErrMalformed},
		{"something before it", "hello\n" + sshsigtest.SignWith(t, anna, text, fine), sshsig.ErrMalformed},
		{"something behind it", sshsigtest.SignWith(t, anna, text, fine) + "hello\n", sshsig.ErrMalformed},
		{"two", sshsigtest.SignWith(t, anna, text, fine) + sshsigtest.SignWith(t, ben, text, fine), sshsig.ErrMalformed},
		{"headers", strings.Replace(sshsigtest.SignWith(t, anna, text, fine), "-----\n", "-----\nA: b\n\n", 1), sshsig.ErrMalformed},
		{"too long", "-----BEGIN SSH SIGNATURE-----\n" + strings.Repeat("A", 10<<10), sshsig.ErrMalformed},
	} {
		s, err := sshsig.Parse(c.armored)
		if err == nil {
			err = s.Verify(namespace, text)
		}
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	s, err := sshsig.Parse(sshsigtest.SignWith(t, big, text, sshsigtest.Options{Namespace: namespace, Hash: "sha256", Algorithm: ssh.KeyAlgoRSASHA256}))
	if err != nil || s.Verify(namespace, text) != nil {
		t.Errorf("RSA with SHA-2 and sha256: %v", err)
	}
}

// touch is a security key in software, which says of itself whether it was touched.
type touch struct {
	public  ssh.PublicKey
	private ed25519.PrivateKey
	flags   byte
}

func (s touch) PublicKey() ssh.PublicKey { return s.public }

func (s touch) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	rest := []byte{s.flags, 0, 0, 0, 7}
	return &ssh.Signature{
		Format: ssh.KeyAlgoSKED25519, Rest: rest,
		Blob: ed25519.Sign(s.private, bytes.Join([][]byte{application[:], rest, message[:]}, nil)),
	}, nil
}

func TestASecurityKeyHasToBeTouched(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Public      []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sshsig.ParseKey(string(ssh.MarshalAuthorizedKey(key))); err != nil {
		t.Errorf("the key itself: %v", err)
	}
	for flags, holds := range map[byte]bool{0: false, 1: true, 4: false, 5: true} {
		s, err := sshsig.Parse(sshsigtest.Sign(t, touch{key, private, flags}, namespace, text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(namespace, text); (err == nil) != holds {
			t.Errorf("flags %d: %v", flags, err)
		}
	}
}

func TestKeysThatMayNotSign(t *testing.T) {
	good := sshsigtest.Public(sshsigtest.Key(t, "anna"))
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := sshsigtest.Key(t, "authority")
	certificate := &ssh.Certificate{Key: authority.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := certificate.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"nothing": "", "not base64": "ssh-ed25519 !!!", "another type than it says": strings.Replace(good, "ssh-ed25519", "ssh-rsa", 1),
		"options": `command="true" ` + good, "two": good + good, "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----",
		"RSA of 1024 bits": sshsigtest.Public(rsaKey(t, 1024)), "a certificate": string(ssh.MarshalAuthorizedKey(certificate)),
	} {
		if key, err := sshsig.ParseKey(line); !errors.Is(err, sshsig.ErrKey) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
	for name, line := range map[string]string{
		"Ed25519": good, "with a comment": strings.TrimSpace(good) + " anna@shop.example", "ECDSA": sshsigtest.Public(signer(t, curve)),
	} {
		if _, err := sshsig.ParseKey(line); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse: whatever is sent as a signature, reading it ends, and none of it holds for
// a text that nobody signed.
func FuzzParse(f *testing.F) {
	shaketest.Add(f, sshsigtest.Sign(f, sshsigtest.Key(f, "anna"), namespace, []byte("another text")))
	shaketest.Add(f, "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n")
	shaketest.Add(f, "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n")
	anna := sshsigtest.Key(f, "anna").PublicKey().Marshal()
	f.Fuzz(func(t *testing.T, armored string) {
		s, err := sshsig.Parse(armored)
		if err != nil {
			return
		}
		if bytes.Equal(s.Key.Marshal(), anna) && s.Verify(namespace, text) == nil {
			t.Errorf("it holds: %q", armored)
		}
	})
}

// FuzzParseKey: whatever stands in a document as a key, reading it ends, and what is taken
// is read the same again.
func FuzzParseKey(f *testing.F) {
	shaketest.Add(f, sshsigtest.Public(sshsigtest.Key(f, "anna")))
	shaketest.Add(f, "ssh-rsa AAAAB3NzaC1yc2E=")
	f.Fuzz(func(t *testing.T, line string) {
		key, err := sshsig.ParseKey(line)
		if err != nil {
			if !errors.Is(err, sshsig.ErrKey) {
				t.Fatal(err)
			}
			return
		}
		again, err := sshsig.ParseKey(string(ssh.MarshalAuthorizedKey(key)))
		if err != nil || !bytes.Equal(again.Marshal(), key.Marshal()) {
			t.Errorf("%q: %v", line, err)
		}
	})
}

// TestWhatIsSignedHolds has every kind of key sign here, and the reader above judge it.
func TestWhatIsSignedHolds(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []ssh.Signer{signer(t, ed), signer(t, curve), rsaKey(t, 2048)} {
		armored, err := sshsig.Sign(key, namespace, text)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sshsig.Parse(armored)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Verify(namespace, text); err != nil || !bytes.Equal(s.Key.Marshal(), key.PublicKey().Marshal()) {
			t.Errorf("%s: %v", key.PublicKey().Type(), err)
		}
	}
	if _, err := sshsig.Sign(rsaKey(t, 1024), namespace, text); !errors.Is(err, sshsig.ErrKey) {
		t.Errorf("a short key: %v", err)
	}
}
