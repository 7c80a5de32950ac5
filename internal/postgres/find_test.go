package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// install writes programs that only know their version.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'postgres (PostgreSQL) " + version + "'\n"
	for _, name := range []string{"postgres", "initdb"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPATHComesFirstThenTheUsualPlacesNewestFirst(t *testing.T) {
	root := openDir(t)
	inPath := install(t, filepath.Join(root, "path"), "14.2")
	v9 := install(t, filepath.Join(root, "lib", "9", "bin"), "9.6.24")
	v18 := install(t, filepath.Join(root, "lib", "18", "bin"), "18beta1")
	if err := os.MkdirAll(filepath.Join(root, "lib", "17", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", inPath+":/bin")
	saved := patterns
	t.Cleanup(func() { patterns = saved })
	patterns = []string{filepath.Join(root, "lib", "*", "bin"), filepath.Join(root, "path")}

	got, err := Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	want := []Binaries{{Dir: inPath, Major: 14}, {Dir: v18, Major: 18}, {Dir: v9, Major: 9}}
	// The machine's own pg_config may add an installation behind PATH.
	got = slices.DeleteFunc(got, func(b Binaries) bool { return !strings.HasPrefix(b.Dir, root) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("installations (-want +got):\n%s", diff)
	}
	only, err := Find(t.Context(), v9)
	if err != nil || len(only) != 1 || only[0].Dir != v9 {
		t.Errorf("explicit directory: got %v, %v", only, err)
	}
}

func TestNothingFoundSaysWhereItLookedAndWhatToType(t *testing.T) {
	saved := patterns
	t.Cleanup(func() { patterns = saved })
	patterns = []string{filepath.Join(openDir(t), "*")}
	t.Setenv("PATH", openDir(t))
	_, err := Find(t.Context(), "")
	if !errors.Is(err, ErrNoBinaries) {
		t.Fatalf("got %v, want ErrNoBinaries", err)
	}
	for _, part := range []string{"PATH", "pg_config --bindir", patterns[0], "apt-get install postgresql", "brew install"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
}

func TestAnExplicitDirectoryWithoutProgramsIsNamed(t *testing.T) {
	dir := openDir(t)
	_, err := Find(t.Context(), dir)
	if !errors.Is(err, ErrNoBinaries) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, want ErrNoBinaries naming %s", err, dir)
	}
	_, err = Start(t.Context(), Config{Dir: filepath.Join(dir, "pg"), Bin: dir})
	if !errors.Is(err, ErrNoBinaries) {
		t.Fatalf("Start: got %v, want ErrNoBinaries", err)
	}
}

func TestParseMajor(t *testing.T) {
	for version, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"postgres (PostgreSQL) 18beta1\n":                        18,
		"postgres (PostgreSQL) 9.6.24":                           9,
		"postgres (PostgreSQL) devel":                            0,
		"mysqld 8.0":                                             0,
		"":                                                       0,
	} {
		got, err := parseMajor(version)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: got %d, %v; want %d", version, got, err, want)
		}
	}
}
