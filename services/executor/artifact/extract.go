package artifact

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrArchive says that an archive is broken, hostile or too large. Nothing of it
// is used.
var ErrArchive = errors.New("archive refused")

// Limits bound what an archive may unpack to.
type Limits struct {
	// Bytes is the most that all of it may measure, headers included.
	Bytes int64
	// Entries is the most entries.
	Entries int
	// Ratio is the most bytes that one compressed byte may stand for. It counts
	// from the first MiB on: little files compress well and harm nobody.
	Ratio int64
}

// DefaultLimits are the limits of a release.
var DefaultLimits = Limits{Bytes: MaxBytes, Entries: 10_000, Ratio: 100}

// ratioFrom is the size up to which Limits.Ratio does not count.
const ratioFrom = 1 << 20

// Extract unpacks a tar.gz into a new folder. Every path is clean, relative and
// used once; there are files, folders and links that stay inside; nothing is
// setuid. One entry that is otherwise refuses the whole archive, and the folder is
// removed again. Files get mode 0755 where anybody may execute them, and 0644
// elsewhere. Extract reads content to its end, so that its digest is checked, and
// syncs what it writes. The errors wrap ErrArchive, or are those of content.
func Extract(content io.Reader, folder string, limits Limits) (err error) {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(folder)
			err = fmt.Errorf("extract archive: %w", err)
		}
	}()
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	packed := &counter{reader: content}
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		return archiveError(packed, err)
	}
	x := &extraction{root: root, limits: limits, left: limits.Bytes, seen: make(map[string]byte)}
	x.unpacked = &meter{reader: unzipped, packed: packed, limits: limits}
	if err := x.entries(tar.NewReader(x.unpacked)); err != nil {
		return archiveError(packed, err)
	}
	// The rest of the stream counts too, and at its end the digest is checked.
	if _, err := io.Copy(io.Discard, x.unpacked); err != nil {
		return archiveError(packed, err)
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return archiveError(packed, err)
	}
	return x.finish()
}

type extraction struct {
	root     *os.Root
	limits   Limits
	unpacked *meter
	left     int64
	seen     map[string]byte
	links    []string
	folders  []string
}

func (x *extraction) entries(archive *tar.Reader) error {
	for n := 1; ; n++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if n > x.limits.Entries {
			return fmt.Errorf("more than %d entries: %w", x.limits.Entries, ErrArchive)
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue // git archive writes one; it places nothing
		}
		if err := x.entry(header, archive); err != nil {
			return fmt.Errorf("entry %d %q: %w", n, header.Name, err)
		}
	}
}

func (x *extraction) entry(header *tar.Header, content io.Reader) error {
	name := header.Name
	if header.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
	}
	if err := checkName(name); err != nil {
		return err
	}
	if _, twice := x.seen[name]; twice {
		return fmt.Errorf("the name is there twice: %w", ErrArchive)
	}
	x.seen[name] = header.Typeflag
	if header.FileInfo().Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		return fmt.Errorf("setuid or setgid: %w", ErrArchive)
	}
	if parent := path.Dir(name); parent != "." {
		if err := x.root.MkdirAll(parent, 0o755); err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		x.folders = append(x.folders, parent)
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if err := x.root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		x.folders = append(x.folders, name)
		return nil
	case tar.TypeReg:
		if err := x.room(header); err != nil {
			return err
		}
		return x.file(name, header.FileInfo().Mode(), content)
	case tar.TypeSymlink:
		return x.symlink(name, header.Linkname)
	case tar.TypeLink:
		if x.seen[header.Linkname] != tar.TypeReg || header.Linkname == name {
			return fmt.Errorf("hard link to %q, which is no file before it: %w", header.Linkname, ErrArchive)
		}
		if err := x.root.Link(header.Linkname, name); err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		return nil
	}
	return fmt.Errorf("type %q is neither file, folder nor link: %w", header.Typeflag, ErrArchive)
}

// room refuses what would take more than is left. The stream alone does not tell:
// the holes of a sparse file are written and never read.
func (x *extraction) room(header *tar.Header) error {
	for record := range header.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return fmt.Errorf("sparse file: %w", ErrArchive)
		}
	}
	if x.left -= header.Size; header.Size < 0 || x.left < 0 {
		return fmt.Errorf("unpacks to more than %d bytes: %w", x.limits.Bytes, ErrArchive)
	}
	return nil
}

func (x *extraction) file(name string, mode fs.FileMode, content io.Reader) error {
	permissions := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		permissions = 0o755
	}
	file, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, permissions)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	_, err = io.Copy(file, content)
	if err == nil {
		err = file.Chmod(permissions) // whatever the umask
	}
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

func (x *extraction) symlink(name, target string) error {
	if target == "" || path.IsAbs(target) || strings.ContainsFunc(target, unicode.IsControl) {
		return fmt.Errorf("symbolic link to %q: %w", target, ErrArchive)
	}
	if err := x.root.Symlink(target, name); err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	x.links = append(x.links, name)
	return nil
}

// finish checks where links lead once all that they may lead to is there. The
// root follows them as the system does, link by link, and stops at its border;
// looking at the text of a link alone is deceived by a link on its way.
func (x *extraction) finish() error {
	for _, link := range x.links {
		if _, err := x.root.Stat(link); err != nil {
			return fmt.Errorf("symbolic link %q leads out or to nothing: %w: %w", link, ErrArchive, err)
		}
	}
	for _, name := range append(x.folders, ".") {
		folder, err := x.root.Open(name)
		if err != nil {
			return err
		}
		err = folder.Sync()
		_ = folder.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// checkName wants names as they are, without anything to clean: two names that
// mean one file cannot hide from each other then.
func checkName(name string) error {
	switch {
	case name == "" || name == "." || !fs.ValidPath(name):
		return fmt.Errorf("the name must be a clean relative path, without ./ in front: %w", ErrArchive)
	case len(name) > 1024 || strings.Count(name, "/") > 32:
		return fmt.Errorf("the name is too long or too deep: %w", ErrArchive)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`):
		return fmt.Errorf("the name has a character that is not allowed: %w", ErrArchive)
	}
	return nil
}

// archiveError keeps the content's own error, which says more than what the
// readers above it made of it.
func archiveError(packed *counter, err error) error {
	switch {
	case packed.err != nil:
		return packed.err
	case errors.Is(err, ErrArchive):
		return err
	}
	return fmt.Errorf("%w: %w", ErrArchive, err)
}

// counter counts what was read, and remembers how reading failed.
type counter struct {
	reader io.Reader
	n      int64
	err    error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// meter stops a stream that unpacks to too much.
type meter struct {
	reader io.Reader
	packed *counter
	limits Limits
	n      int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.reader.Read(p)
	m.n += int64(n)
	switch {
	case m.n > m.limits.Bytes:
		return 0, fmt.Errorf("unpacks to more than %d bytes: %w", m.limits.Bytes, ErrArchive)
	case m.n > ratioFrom && m.n > m.packed.n*m.limits.Ratio:
		return 0, fmt.Errorf("unpacks to more than %d times its size: %w", m.limits.Ratio, ErrArchive)
	}
	return n, err
}
