package inspect

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrKind means that an artifact is not what its kind says, or is one that nobody should
// unpack.
var ErrKind = errors.New("not of its kind")

// Limits bound what an archive may unpack to.
type Limits struct {
	// Bytes is the most that all of it may measure, headers included, Entries the most
	// entries, and Ratio the most bytes that one compressed byte may stand for, from the
	// first MiB on.
	Bytes   int64
	Entries int
	Ratio   int64
}

// Default are the limits of an archive, Small those of a chart or a plan.
var (
	Default = Limits{Bytes: 512 << 20, Entries: 10_000, Ratio: 100}
	Small   = Limits{Bytes: 64 << 20, Entries: 5_000, Ratio: 100}
)

// MaxZip is the most that a zip archive may measure: its directory is at its end, so it
// is read into memory.
const MaxZip = 32 << 20

const ratioFrom = 1 << 20

// entryOfZip begins each entry of a zip's directory, and those of zips that lie in it as they are, such
// as the libraries of an application: so many times more may begin like one.
var entryOfZip = []byte("PK\x01\x02")

const entriesWithin = 8

// visit is called for every regular file of an archive.
type visit func(name string, content io.Reader) error

// Archive walks a tar.gz or a zip, by its first bytes, and returns how many files it has.
func Archive(content io.Reader) (files int, err error) {
	err = walk(content, Default, func(string, io.Reader) error { files++; return nil })
	return files, err
}

// walk reads an archive of either kind to its end.
func walk(content io.Reader, limits Limits, each visit) error {
	head := make([]byte, 2)
	n, err := io.ReadFull(content, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	whole := io.MultiReader(bytes.NewReader(head[:n]), content)
	switch {
	case bytes.Equal(head[:n], []byte{0x1f, 0x8b}):
		return walkTarGz(whole, limits, each)
	case bytes.Equal(head[:n], []byte("PK")):
		return walkZip(whole, limits, each)
	}
	return fmt.Errorf("neither a tar.gz nor a zip: %w", ErrKind)
}

// counted counts what is read of an archive's own bytes, and keeps an error of reading
// apart from those of what was read.
type counted struct {
	reader io.Reader
	n      int64
	err    error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// unpacked bounds what comes out of an archive.
type unpacked struct {
	reader io.Reader
	packed func() int64
	limits Limits
	n      *int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.reader.Read(p)
	*u.n += int64(n)
	switch {
	case *u.n > u.limits.Bytes:
		return 0, fmt.Errorf("it unpacks to more than %d bytes: %w", u.limits.Bytes, ErrKind)
	case *u.n > ratioFrom && *u.n > u.limits.Ratio*u.packed():
		return 0, fmt.Errorf("it unpacks to more than %d times its size: %w", u.limits.Ratio, ErrKind)
	}
	return n, err
}

func walkTarGz(content io.Reader, limits Limits, each visit) error {
	packed := &counted{reader: content}
	explain := func(err error) error {
		switch {
		case packed.err != nil:
			return packed.err
		case err == nil, errors.Is(err, ErrKind):
			return err
		}
		return fmt.Errorf("broken archive: %w: %w", ErrKind, err)
	}
	zipped, err := gzip.NewReader(packed)
	if err != nil {
		return explain(err)
	}
	var total int64
	out := &unpacked{reader: zipped, packed: func() int64 { return packed.n }, limits: limits, n: &total}
	archive, seen := tar.NewReader(out), names{}
	for n := 1; ; n++ {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return explain(err)
		}
		if n > limits.Entries {
			return fmt.Errorf("more than %d entries: %w", limits.Entries, ErrKind)
		}
		if err := seen.entry(header); err != nil {
			return err
		}
		if header.Typeflag == tar.TypeReg {
			if err := each(strings.TrimPrefix(header.Name, "./"), archive); err != nil {
				return explain(err)
			}
		}
	}
	_, err = io.Copy(io.Discard, out)
	return explain(err)
}

func walkZip(content io.Reader, limits Limits, each visit) error {
	body, err := io.ReadAll(io.LimitReader(content, MaxZip+1))
	switch {
	case err != nil:
		return err
	case len(body) > MaxZip:
		return fmt.Errorf("a zip of more than %d bytes: %w", MaxZip, ErrKind)
	}
	// Counted before its directory is read, which takes ten times its room in memory.
	if bytes.Count(body, entryOfZip) > entriesWithin*limits.Entries {
		return fmt.Errorf("more than %d entries: %w", limits.Entries, ErrKind)
	}
	archive, err := zip.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return fmt.Errorf("broken archive: %w: %w", ErrKind, err)
	}
	if len(archive.File) > limits.Entries {
		return fmt.Errorf("more than %d entries: %w", limits.Entries, ErrKind)
	}
	var total int64
	seen := names{}
	for _, f := range archive.File {
		folder := strings.HasSuffix(f.Name, "/")
		if err := seen.add(strings.TrimSuffix(f.Name, "/"), f.Mode()); err != nil {
			return err
		}
		if !folder && !f.Mode().IsRegular() {
			return fmt.Errorf("entry %q is no file and no folder: %w", f.Name, ErrKind)
		}
		if folder {
			continue
		}
		file, err := f.Open()
		if err != nil {
			return fmt.Errorf("entry %q: %w: %w", f.Name, ErrKind, err)
		}
		out := &unpacked{reader: file, packed: func() int64 { return int64(len(body)) }, limits: limits, n: &total}
		err = each(f.Name, out)
		if err == nil {
			_, err = io.Copy(io.Discard, out) // its checksum is at its end
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return fmt.Errorf("entry %q: %w: %w", f.Name, ErrKind, err)
		}
	}
	return nil
}

// names are the entries of an archive so far.
type names map[string]bool

// entry judges one entry of a tar. Links are judged by where they lead to, and nothing is
// ever read through one.
func (s names) entry(header *tar.Header) error {
	name := header.Name
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil // git archive writes one; it places nothing
	case tar.TypeDir:
		name = strings.TrimSuffix(name, "/")
		if name == "." || name == "" {
			return nil
		}
	case tar.TypeReg:
	case tar.TypeSymlink:
		//nolint:gosec // Nothing is opened by this path: it is judged, and the archive refused.
		if to := path.Join(path.Dir(name), header.Linkname); path.IsAbs(header.Linkname) || to == ".." || strings.HasPrefix(to, "../") {
			return fmt.Errorf("link %q leads out of the archive: %w", header.Name, ErrKind)
		}
	default:
		return fmt.Errorf("entry %q is a hard link or a device: %w", header.Name, ErrKind)
	}
	return s.add(strings.TrimPrefix(name, "./"), header.FileInfo().Mode())
}

func (s names) add(name string, mode fs.FileMode) error {
	switch {
	case !utf8.ValidString(name) || !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, `\:`) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("entry %.80q leaves the archive, or has no clean name: %w", name, ErrKind)
	case mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return fmt.Errorf("entry %q is setuid or setgid: %w", name, ErrKind)
	case s[name]:
		return fmt.Errorf("entry %q is there twice: %w", name, ErrKind)
	}
	s[name] = true
	return nil
}
