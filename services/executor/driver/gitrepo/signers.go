package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"golang.org/x/crypto/ssh"

	"github.com/blackdice/shipwarden/internal/sshsig"
)

// maxSigners bounds the file of those whose signatures count, in bytes.
const maxSigners = 1 << 20

// ErrUnsigned says that a commit has no signature that counts.
var ErrUnsigned = errors.New("no signature that counts")

// Signers are those whose signatures on commits count.
type Signers struct {
	// everybody says that nobody was named, so that every commit counts.
	everybody bool
	all       []signer
}

// signer is one line of the file.
type signer struct {
	key           ssh.PublicKey
	after, before time.Time
}

// Signers reads whose signatures count. The error names the field and the line, and wraps ErrInvalid.
func (r *Repo) Signers() (Signers, error) {
	name := r.config.GetAllowedSignersFile()
	if name == "" {
		return Signers{everybody: true}, nil
	}
	s, err := readSigners(name)
	if err != nil {
		return Signers{}, fmt.Errorf("allowed_signers_file: %w", err)
	}
	return s, nil
}

// Judged says that signatures on commits count, and others for nothing.
func (r *Repo) Judged() bool { return r.config.GetAllowedSignersFile() != "" }

func readSigners(name string) (Signers, error) {
	file, err := os.Open(name)
	if err != nil {
		return Signers{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSigners+1))
	switch {
	case err != nil:
		return Signers{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case len(text) > maxSigners:
		return Signers{}, fmt.Errorf("%w: %s has more than %d bytes", ErrInvalid, name, maxSigners)
	}
	s, err := signersIn(string(text))
	if err != nil {
		return s, fmt.Errorf("%w: %s: %w", ErrInvalid, name, err)
	}
	return s, nil
}

// signersIn reads the format of `ssh-keygen -Y verify` (ALLOWED SIGNERS). What it has and is not
// known here, certificates among it, is refused: to read on would be to take somebody for whom a
// condition was written.
func signersIn(text string) (Signers, error) {
	var s Signers
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, git, err := signerIn(line)
		if err != nil {
			return Signers{}, fmt.Errorf("line %d: %w", number, err)
		}
		if git {
			s.all = append(s.all, one)
		}
	}
	if len(s.all) == 0 {
		return Signers{}, errors.New("nobody in it may sign commits")
	}
	return s, nil
}

// signerIn reads one line, and says whether it is for commits.
func signerIn(line string) (one signer, git bool, err error) {
	rest := ""
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		_, rest, _ = strings.Cut(quoted, `"`)
	} else if at := strings.IndexAny(line, " \t"); at >= 0 {
		rest = line[at:]
	}
	key, _, options, _, err := ssh.ParseAuthorizedKey([]byte(strings.TrimSpace(rest)))
	if err != nil {
		return one, false, errors.New("it is not of the form: PRINCIPALS [OPTIONS] KEY")
	}
	if one.key, err = sshsig.ParseKey(string(bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))); err != nil {
		return one, false, err
	}
	git = true
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		value = strings.Trim(value, `"`)
		switch strings.ToLower(name) {
		case "namespaces":
			git, err = isFor(value)
		case "valid-after":
			one.after, err = moment(value)
		case "valid-before":
			one.before, err = moment(value)
		default:
			err = fmt.Errorf("its option %q is not known here", name)
		}
		if err != nil {
			return one, false, err
		}
	}
	return one, git, nil
}

// isFor says whether a list of patterns has the namespace of commits.
func isFor(patterns string) (bool, error) {
	found := false
	for pattern := range strings.SplitSeq(patterns, ",") {
		if strings.HasPrefix(pattern, "!") {
			return false, fmt.Errorf("its namespaces %q have an exception, which is not known here", patterns)
		}
		matches, err := path.Match(pattern, namespace)
		if err != nil {
			return false, fmt.Errorf("its namespaces %q are no patterns", patterns)
		}
		found = found || matches
	}
	return found, nil
}

// moment is a time as OpenSSH writes it, which is the machine's where it does not end with Z.
func moment(text string) (time.Time, error) {
	zone := time.Local //nolint:gosmopolitan // As OpenSSH has it.
	digits, utc := strings.CutSuffix(text, "Z")
	if utc {
		zone = time.UTC
	}
	for _, form := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(form) == len(digits) {
			if t, err := time.ParseInLocation(form, digits, zone); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time of the form YYYYMMDD[HHMM[SS]][Z]", text)
}

// has says whether somebody may sign with a key at a time.
func (s Signers) has(key ssh.PublicKey, when time.Time) bool {
	if s.everybody {
		return true
	}
	for _, one := range s.all {
		if bytes.Equal(one.key.Marshal(), key.Marshal()) && (one.after.IsZero() || !when.Before(one.after)) && (one.before.IsZero() || when.Before(one.before)) {
			return true
		}
	}
	return false
}

// Counts is nil where a commit is signed by somebody whose signature counts, at the time that it
// says of itself, as for `git verify-commit`. Otherwise the error wraps ErrUnsigned.
func (s Signers) Counts(c Commit) error {
	if s.everybody {
		return nil
	}
	if c.signature == "" {
		return fmt.Errorf("commit %s by %s: %w", c.ID, c.Committer, ErrUnsigned)
	}
	signature, err := sshsig.Parse(c.signature)
	if err == nil && !s.has(signature.Key, c.When) {
		err = fmt.Errorf("the key %s is none of theirs", sshsig.Fingerprint(signature.Key))
	}
	var signed []byte
	if err == nil {
		signed, err = c.signed()
	}
	if err == nil {
		err = signature.Verify(namespace, signed)
	}
	if err != nil {
		return fmt.Errorf("commit %s by %s: %w: %w", c.ID, c.Committer, ErrUnsigned, err)
	}
	return nil
}

// header is the name of the header of a commit that has its signature, of whatever kind.
const header = "gpgsig"

// signedOf reads what the signature of a commit is made over: all of its bytes but those of the
// signature.
func (o *objects) signedOf(id plumbing.Hash) ([]byte, error) {
	found, err := o.EncodedObject(plumbing.CommitObject, id)
	if err != nil {
		return nil, err
	}
	in, err := found.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	return withoutSignature(text)
}

// withoutSignature takes the signature out of the headers of a commit. There must be one, and no
// other kind of it.
func withoutSignature(text []byte) ([]byte, error) {
	headers, message, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		return nil, errors.New("it has no message")
	}
	var out []byte
	taken, inside := 0, false
	for line := range bytes.Lines(append(bytes.Clone(headers), '\n')) {
		name, _, _ := bytes.Cut(line, []byte(" "))
		switch {
		case len(name) == 0:
			// It goes on with what is before it.
		case string(name) == header:
			inside = true
			taken++
		case bytes.HasPrefix(name, []byte(header)):
			return nil, fmt.Errorf("it has a signature of another kind, %s", name)
		default:
			inside = false
		}
		if !inside {
			out = append(out, line...)
		}
	}
	if taken != 1 {
		return nil, fmt.Errorf("it has %d signatures", taken)
	}
	return append(append(out, '\n'), message...), nil
}

// commitOf is a commit for others.
func (s *Snapshot) commitOf(c *object.Commit) Commit {
	out := Commit{
		ID: c.Hash.String(), Committer: c.Committer.Name + " <" + c.Committer.Email + ">", When: c.Committer.When, Message: c.Message,
		signature: c.PGPSignature, signed: func() ([]byte, error) { return s.objects.signedOf(c.Hash) },
	}
	out.Signed = out.signature != ""
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out
}
