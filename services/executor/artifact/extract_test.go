package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/artifact"
)

// pack makes a tar.gz; a header without a type is a file that holds its own name.
func pack(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 {
			h.Typeflag, content = tar.TypeReg, h.Name
		}
		if h.Mode == 0 && h.Typeflag != tar.TypeXGlobalHeader {
			h.Mode = 0o644
		}
		h.Size = int64(len(content))
		if err := archive.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(archive, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestArchiveIsUnpacked(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "release")
	packed := pack(t,
		tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o700},
		tar.Header{Name: "bin/shop", Mode: 0o700},
		tar.Header{Name: "etc/deep/shop.conf", Mode: 0o600},
		tar.Header{Name: "shop", Typeflag: tar.TypeSymlink, Linkname: "bin/shop"},
		tar.Header{Name: "etc/up", Typeflag: tar.TypeSymlink, Linkname: "../bin"},
		tar.Header{Name: "bin/twin", Typeflag: tar.TypeLink, Linkname: "bin/shop"},
	)
	if err := artifact.Extract(bytes.NewReader(packed), folder, artifact.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bin/shop": "bin/shop", "shop": "bin/shop", "etc/up/shop": "bin/shop", "bin/twin": "bin/shop",
		"etc/deep/shop.conf": "etc/deep/shop.conf",
	} {
		if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]fs.FileMode{"bin/shop": 0o755, "etc/deep/shop.conf": 0o644} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestHostileArchivesAreRefusedWhole(t *testing.T) {
	good := tar.Header{Name: "good"}
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	dir := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir} }
	for _, test := range []struct {
		name    string
		headers []tar.Header
	}{
		{"path upwards", []tar.Header{good, {Name: "../../etc/passwd"}}},
		{"path upwards in the middle", []tar.Header{good, {Name: "a/../../etc/passwd"}}},
		{"path that goes up and comes back", []tar.Header{good, {Name: "a/../b"}}},
		{"absolute path", []tar.Header{good, {Name: "/etc/passwd"}}},
		{"the folder itself", []tar.Header{good, dir("./")}},
		{"the folder above", []tar.Header{good, dir("../")}},
		{"name with a dot in front", []tar.Header{good, {Name: "./a"}}},
		{"name with a backslash", []tar.Header{good, {Name: `..\a`}}},
		{"name with a newline", []tar.Header{good, {Name: "a\nb"}}},
		{"name with a terminal's escape", []tar.Header{good, {Name: "a\x1b[2J"}}},
		{"name twice", []tar.Header{good, good}},
		{"folder over a file", []tar.Header{good, dir("good/")}},
		{"file in a file", []tar.Header{good, {Name: "good/in"}}},
		{"absolute link", []tar.Header{good, link("l", "/etc/passwd")}},
		{"link upwards", []tar.Header{good, link("l", "../../etc/passwd")}},
		{"link to nothing", []tar.Header{good, link("l", "none")}},
		{"link to itself", []tar.Header{good, link("l", "l")}},
		{"link out by way of a link", []tar.Header{good, dir("d"), link("d/here", "."), link("l", "d/here/../../out")}},
		{"file through a link out", []tar.Header{good, link("l", ".."), {Name: "l/escaped"}}},
		{"hard link out", []tar.Header{good, {Name: "h", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}}},
		{"hard link to a link", []tar.Header{good, link("l", "good"), {Name: "h", Typeflag: tar.TypeLink, Linkname: "l"}}},
		{"device", []tar.Header{good, {Name: "d", Typeflag: tar.TypeBlock}}},
		{"terminal", []tar.Header{good, {Name: "d", Typeflag: tar.TypeChar}}},
		{"pipe", []tar.Header{good, {Name: "p", Typeflag: tar.TypeFifo}}},
		{"setuid", []tar.Header{good, {Name: "s", Mode: 0o4755}}},
		{"setgid", []tar.Header{good, {Name: "s", Mode: 0o2755}}},
		{"sparse file", []tar.Header{good, {Name: "s", PAXRecords: map[string]string{"GNU.sparse.major": "1"}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			above := t.TempDir()
			folder := filepath.Join(above, "x", "release")
			if err := os.Mkdir(filepath.Dir(folder), 0o755); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(test.name, "sparse") {
				if err := artifact.Extract(bytes.NewReader(sparse(t)), folder, artifact.DefaultLimits); !errors.Is(err, artifact.ErrArchive) {
					t.Errorf("got %v, want %v", err, artifact.ErrArchive)
				}
			} else if err := artifact.Extract(bytes.NewReader(pack(t, test.headers...)), folder, artifact.DefaultLimits); !errors.Is(err, artifact.ErrArchive) {
				t.Errorf("got %v, want %v", err, artifact.ErrArchive)
			}
			var left []string
			filepath.WalkDir(above, func(path string, _ fs.DirEntry, _ error) error {
				left = append(left, path)
				return nil
			})
			if len(left) != 2 {
				t.Errorf("something was left: %v", left)
			}
		})
	}
}

// sparse is an archive of the old form of a file with holes: 1 TiB of nothing. The
// library cannot write one.
func sparse(t *testing.T) []byte {
	t.Helper()
	var raw bytes.Buffer
	archive := tar.NewWriter(&raw)
	if err := errors.Join(archive.WriteHeader(&tar.Header{Name: "s", Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatGNU}), archive.Close()); err != nil {
		t.Fatal(err)
	}
	block := raw.Bytes()[:512]
	block[156] = tar.TypeGNUSparse
	copy(block[483:], "20000000000000\x00") // real size, octal
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func TestArchiveLimits(t *testing.T) {
	zeros := func(size int64) []byte {
		var packed bytes.Buffer
		zip := gzip.NewWriter(&packed)
		archive := tar.NewWriter(zip)
		if err := archive.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(archive, zero{}, size); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(archive.Close(), zip.Close()); err != nil {
			t.Fatal(err)
		}
		return packed.Bytes()
	}
	many := make([]tar.Header, 11)
	for i := range many {
		many[i].Name = fmt.Sprintf("f%d", i)
	}
	// What a file says of its size is enough to refuse it.
	var large bytes.Buffer
	zip := gzip.NewWriter(&large)
	if err := errors.Join(tar.NewWriter(zip).WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Size: 512<<20 + 1}), zip.Close()); err != nil {
		t.Fatal(err)
	}
	// Entries that place nothing count as well.
	crowd := make([]tar.Header, 10_001)
	for i := range crowd {
		crowd[i] = tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))}}
	}
	for _, test := range []struct {
		name   string
		packed []byte
		limits artifact.Limits
		says   string
	}{
		{"larger than 512 MiB", large.Bytes(), artifact.DefaultLimits, "more than 536870912 bytes"},
		{"more than 10,000 entries", pack(t, crowd...), artifact.DefaultLimits, "more than 10000 entries"},
		{"bomb", zeros(64 << 20), artifact.DefaultLimits, "100 times"},
		{"too large", zeros(4 << 20), artifact.Limits{Bytes: 2 << 20, Entries: 10, Ratio: 1 << 30}, "more than 2097152 bytes"},
		{"too many", pack(t, many...), artifact.Limits{Bytes: 1 << 20, Entries: 10, Ratio: 100}, "more than 10 entries"},
		{"not packed", []byte("#!/bin/sh\n"), artifact.DefaultLimits, "gzip"},
		{"cut short", pack(t, many...)[:100], artifact.DefaultLimits, "EOF"},
		{"empty", nil, artifact.DefaultLimits, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "release")
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := artifact.Extract(bytes.NewReader(test.packed), folder, test.limits)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
				t.Errorf("it took %d bytes of memory", n)
			}
			if !errors.Is(err, artifact.ErrArchive) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, artifact.ErrArchive, test.says)
			}
			if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder is there: %v", err)
			}
		})
	}
	if err := artifact.Extract(bytes.NewReader(zeros(1<<19)), filepath.Join(t.TempDir(), "r"), artifact.DefaultLimits); err != nil {
		t.Errorf("a little file of zeros: %v", err)
	}
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestArchiveWithAnotherDigestIsNotUsed(t *testing.T) {
	folder, content := t.TempDir(), pack(t, tar.Header{Name: "shop"})
	write(t, filepath.Join(folder, "shop.tar.gz"), content)
	a, err := fetcher(t, folder).Fetch(t.Context(), fileAt("shop.tar.gz", content))
	if err != nil {
		t.Fatal(err)
	}
	// The same archive with a tail that no unpacker looks at.
	write(t, filepath.Join(folder, "shop.tar.gz"), append(content, pack(t, tar.Header{Name: "more"})...))
	reader, err := a.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	release := filepath.Join(t.TempDir(), "release")
	if err := artifact.Extract(reader, release, artifact.DefaultLimits); !errors.Is(err, artifact.ErrDigest) {
		t.Errorf("got %v, want %v", err, artifact.ErrDigest)
	}
	if _, err := os.Stat(release); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}
