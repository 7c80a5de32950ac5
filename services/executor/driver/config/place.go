package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/blackdice/shipwarden/internal/bucket"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// place is where the document lies with its note: an entry of a bucket, or a file of a repository.
type place interface {
	// String names it for people.
	fmt.Stringer
	io.Closer
	// Place tells places apart.
	Place() string
	// kind says in a word what it is, and home what it lies in.
	kind() string
	home() string
	// running is the digest of what is there, "" for nothing.
	running(ctx context.Context) (string, error)
	// load reads what is there, and the newest note of it.
	load(ctx context.Context) (state, error)
	// forgotten says before anybody approves why what the record knows of it is not there; nil where
	// it is.
	forgotten(ctx context.Context, s state, plan driver.Plan) error
	// mark says how far what was read remembers, and remembers why that is less than by a mark; nil
	// where it is not.
	mark(s state) string
	remembers(s state, mark string) error
	// altered says in lines what is not as the newest note has it; nil where all is.
	altered(ctx context.Context, s state) ([]string, error)
	// write writes document and note as one, unless somebody wrote since s was read. It returns
	// what state.at will be.
	write(ctx context.Context, s state, w writing) (string, error)
	// usable refuses a place in which no document can stay, and says which size one may have.
	usable(ctx context.Context) (fits func(size int64) error, err error)
	// find finds a document by its digest, among those that were there.
	find(ctx context.Context, s state, digest string) (document []byte, there bool, err error)
	// keeps refuses a write that changes no document and would lose one that a target goes back to.
	keeps(ctx context.Context, needed ...string) error
	// back says whether plan.Previous could be placed again, when the release has been placed.
	back(ctx context.Context, plan driver.Plan) (driver.DryRun, error)
}

// writing is what is written.
type writing struct {
	note     note
	document []byte
	present  bool
	// key and fence are those of the call, and version what it places; what is it in words.
	key     driver.Key
	fence   driver.Fence
	what    string
	version string
}

// away says that nobody answered, and nothing was written.
func away(err error) bool {
	return errors.Is(err, bucket.ErrUnavailable) || errors.Is(err, gitrepo.ErrUnavailable)
}

// unanswered says that nobody knows what became of a write.
func unanswered(err error) bool {
	return errors.Is(err, bucket.ErrUnanswered) || errors.Is(err, gitrepo.ErrUnanswered)
}

// raced says that somebody else wrote in between, and nothing was written.
func raced(err error) bool {
	return errors.Is(err, bucket.ErrRaced) || errors.Is(err, gitrepo.ErrRaced)
}

// wrong says of an error of the place what it means for a driver.
func wrong(err error) error {
	for _, of := range []error{bucket.ErrNoBucket, bucket.ErrRefused, gitrepo.ErrNoBranch, gitrepo.ErrRefused, gitrepo.ErrTooLarge, gitrepo.ErrTooOld, gitrepo.ErrInvalid} {
		if errors.Is(err, of) {
			return fmt.Errorf("%w: %w", driver.ErrInvalid, err)
		}
	}
	return err
}

// oneLine is text of somebody else on one line of bounded length.
func oneLine(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, "?"), func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' }), " ")
	if len(text) > limit {
		text = strings.TrimSpace(strings.ToValidUTF8(text[:limit], ""))
	}
	return text
}
