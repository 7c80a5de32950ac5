package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/blackdice/shipwarden/internal/outward"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

var (
	// ErrUnavailable says that the server did not answer in time. Nothing was written.
	ErrUnavailable = errors.New("the repository's server does not answer")
	// ErrUnanswered says that a commit was pushed and no answer came: it is on the branch, or will
	// be, or not. Of it and another commit on the same parent, one gets there at most.
	ErrUnanswered = errors.New("the repository's server did not answer to a push")
	// ErrRaced says that the branch has moved since it was read. Nothing was written.
	ErrRaced = errors.New("the branch has moved")
	// ErrRefused says that the server refuses what was asked. Nothing was written.
	ErrRefused = errors.New("the repository's server refuses")
	// ErrNoBranch says that the repository has no such branch.
	ErrNoBranch = errors.New("there is no such branch")
	// ErrTooLarge says that the repository has more than is configured.
	ErrTooLarge = errors.New("the repository is larger than is taken")
	// ErrTooOld says that what is looked for is not among the newest commits, as many as are
	// looked through.
	ErrTooOld = errors.New("not among the newest commits")
	// ErrInvalid says that a path, a message or a configuration cannot be one.
	ErrInvalid = errors.New("invalid")
)

const (
	defaultUser    = "git"
	defaultName    = "Shipwarden"
	defaultEmail   = "shipwarden@localhost"
	defaultBytes   = 64 << 20
	defaultCommits = 10_000
	// exchange bounds one conversation with a server, beside the caller's context.
	exchange = 2 * time.Minute
	maxPath  = 512
)

var (
	hostPath   = regexp.MustCompile(`^(/[A-Za-z0-9._~+-]+)+$`)
	branchName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*(/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*$`)
	fileName   = regexp.MustCompile(`^[A-Za-z0-9_.@+=,~ -]+$`)
	person     = regexp.MustCompile(`^[^<>\x00-\x1f\x7f]+$`)
)

// ports are those of a scheme where an address says none.
var ports = map[string]string{"https": "443", "http": "80", "ssh": "22"}

// Options are what a repository needs besides its configuration.
type Options struct {
	// Now tells the time that commits have. Absent: time.Now.
	Now func() time.Time
}

// Repo is one branch of one repository. Its methods, and those of its snapshots, may be called
// from several goroutines; they wait for each other.
type Repo struct {
	config  *configv1.GitRepository
	url     *url.URL
	branch  plumbing.ReferenceName
	now     func() time.Time
	wire    wire
	bytes   int64
	commits int

	// turn is held by whoever looks at the objects.
	turn    chan struct{}
	objects *objects
}

// New checks the configuration, reads those of the files that it names that are there, and makes
// the repository; it reaches nobody. The error names every field at fault.
func New(c *configv1.GitRepository, o Options) (*Repo, error) {
	r := &Repo{
		config: c, branch: plumbing.NewBranchReferenceName(c.GetBranch()), now: o.Now, bytes: int64(c.GetMaxBytes()), //nolint:gosec // Bounded by the schema, and below.
		commits: int(c.GetMaxCommits()), turn: make(chan struct{}, 1),
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.bytes <= 0 {
		r.bytes = defaultBytes
	}
	if r.commits <= 0 {
		r.commits = defaultCommits
	}
	var wrong []error
	var err error
	if r.url, err = address(c.GetUrl()); err != nil {
		wrong = append(wrong, fmt.Errorf("url: %w", err))
	} else if r.wire, err = wireOf(r.url, c); err != nil {
		wrong = append(wrong, err)
	}
	if err := branch(c.GetBranch()); err != nil {
		wrong = append(wrong, fmt.Errorf("branch: %w", err))
	}
	if c.GetSigningKeyFile() == "" {
		wrong = append(wrong, errors.New("signing_key_file: required: every commit is signed"))
	} else if _, err := readKey(c.GetSigningKeyFile()); there(err) {
		wrong = append(wrong, fmt.Errorf("signing_key_file: %w", err))
	}
	if _, err := r.Signers(); there(err) {
		wrong = append(wrong, err)
	}
	if n := c.GetAuthorName(); n != "" && !person.MatchString(n) {
		wrong = append(wrong, fmt.Errorf("author_name: %w: it has < or >, or more than one line", ErrInvalid))
	}
	if m := c.GetAuthorEmail(); m != "" && !person.MatchString(m) {
		wrong = append(wrong, fmt.Errorf("author_email: %w: it has < or >, or more than one line", ErrInvalid))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return r, nil
}

// address reads the address of a repository.
func address(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: it is no address", ErrInvalid) // The words of the error have all of it.
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme != "https" && u.Scheme != "ssh" && u.Scheme != "http":
		return nil, fmt.Errorf("%w: it begins with https:// or ssh://", ErrInvalid)
	case password:
		return nil, fmt.Errorf("%w: it has a password, which belongs into password_file", ErrInvalid)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%w: it names no host", ErrInvalid)
	case u.Scheme == "http" && !outward.Here(u.Hostname()):
		return nil, fmt.Errorf("%w: http:// leads to this machine alone; elsewhere a password would be read by others", ErrInvalid)
	case u.Scheme != "ssh" && u.User != nil:
		return nil, fmt.Errorf("%w: it has a user, which belongs into user", ErrInvalid)
	case u.Scheme == "ssh" && !fileName.MatchString(u.User.Username()):
		return nil, fmt.Errorf("%w: over ssh it names the user, such as ssh://git@host/path", ErrInvalid)
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || u.Opaque != "":
		return nil, fmt.Errorf("%w: it has more than a path", ErrInvalid)
	case !hostPath.MatchString(u.Path) || u.RawPath != "" || path.Clean(u.Path) != u.Path:
		return nil, fmt.Errorf("%w: its path leads through .. or has something else than letters, digits and ._~+- in it", ErrInvalid)
	}
	return u, nil
}

// branch checks the name of a branch, by rules that are narrower than Git's.
func branch(name string) error {
	if !branchName.MatchString(name) || strings.Contains(name, "..") || strings.HasSuffix(name, ".") || strings.Contains(name+"/", ".lock/") || len(name) > 200 {
		return fmt.Errorf("%w: letters, digits and _.+- in parts that are separated by slashes", ErrInvalid)
	}
	return nil
}

// CheckPath checks the path of a file within a repository. The error wraps ErrInvalid.
func CheckPath(name string) error {
	if name == "" || len(name) > maxPath {
		return fmt.Errorf("%w: 1 to %d bytes", ErrInvalid, maxPath)
	}
	for part := range strings.SplitSeq(name, "/") {
		lower := strings.ToLower(part)
		switch {
		case part == "":
			return fmt.Errorf("%w: it begins or ends with a slash, or has two of them", ErrInvalid)
		case part == "." || part == ".." || lower == ".git" || strings.HasPrefix(lower, "git~"):
			return fmt.Errorf("%w: it leads through %s", ErrInvalid, part)
		case !fileName.MatchString(part) || strings.HasSuffix(part, " ") || strings.HasSuffix(part, "."):
			return fmt.Errorf("%w: letters, digits, spaces and _.@+=,~- in parts that are separated by slashes", ErrInvalid)
		}
	}
	return nil
}

// String names the repository and its branch for people.
func (r *Repo) String() string { return r.url.Host + r.url.Path + " " + r.config.GetBranch() }

// Place tells branches apart: two with the same place are one, whoever configured them.
func (r *Repo) Place() string {
	host := strings.ToLower(r.url.Hostname())
	if port := r.url.Port(); port != "" && port != ports[r.url.Scheme] {
		host = net.JoinHostPort(host, port)
	}
	return host + strings.TrimSuffix(r.url.Path, ".git") + " " + r.branch.String()
}

// Close lets go of connections that nobody uses.
func (r *Repo) Close() error {
	r.wire.close()
	return nil
}

// CheckKey reads the key that signs, as Write will, and that it is one whose signatures count. The
// error wraps ErrInvalid.
func (r *Repo) CheckKey() error {
	_, err := r.signingKey()
	return err
}

// take waits for its turn.
func (r *Repo) take(ctx context.Context) (func(), error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("repository %s: %w: %w", r, ErrUnavailable, context.Cause(ctx))
	}
}

const (
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// patiently asks again until there is an answer, or ctx ends.
func (r *Repo) patiently(ctx context.Context, ask func(context.Context) error) error {
	for attempt := 0; ; attempt++ {
		err := r.once(ctx, ask)
		if !errors.Is(err, ErrUnavailable) {
			return err
		}
		wait := min(minPause<<min(attempt, 10), maxPause)
		timer := time.NewTimer(wait/2 + rand.N(wait/2+1)) //nolint:gosec // Nobody gains by guessing it.
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

func (r *Repo) once(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, exchange)
	defer cancel()
	if err := ask(ctx); err != nil {
		return fmt.Errorf("repository %s: %w", r, err)
	}
	return nil
}

// there reports whether an error is one of a file that is there: one that is not may be there as
// soon as it is needed, and is missed then.
func there(err error) bool { return err != nil && !errors.Is(err, fs.ErrNotExist) }

// secret reads a secret from its file.
func secret(path string) (string, error) {
	s, err := service.ReadSecret(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s.Reveal(), nil
}
