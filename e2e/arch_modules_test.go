package e2e

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// house is the path of the root module, and the prefix of all the others.
const house = "github.com/blackdice/shipwarden"

// module is one module of ours.
type module struct {
	// dir is its folder as go.work writes it, path the same from this package.
	dir, path string
	file      *modfile.File
}

// beside are the modules that are not in go.work and keep to its rules all the same:
// what they build or write becomes part of what we ship, or stands for it.
var beside = []string{"examples/shop", "tools/mutants", "tools/protoc", "tools/protodeps"}

// apart are the modules whose dependencies are their own, with the reason.
var apart = map[string]string{
	"tools/buf":           "buf asks for another version of protobuf than the plugins that we pin; it writes nothing that is built",
	"tools/charts":        "charts that tests place are somebody else's, and nothing of ours is built with their modules",
	"tools/clients":       "plain clients must work in whatever version people have them",
	"tools/controlplane":  "a control plane that tests run as processes is somebody else's, with the replacements that Kubernetes itself is built with",
	"tools/helm":          "helm's dependencies are those of Kubernetes, and nothing of ours is built with them",
	"tools/lint":          "the linter's dependencies are hundreds, and nothing of ours is built with them",
	"tools/localprovider": "a provider of Terraform that tests run is somebody else's, and must work in the version that it is",
	"tools/provider":      "an OpenID Connect provider that tests run as a process is somebody else's, and must work in the version that it is",
	"tools/relay":         "a mail server that tests run as a process is somebody else's, and must work in the version that it is",
	"tools/terraform":     "a program that tests run is somebody else's, with the replacement that OpenTofu itself is built with",
}

func TestModulesKeepToTheRules(t *testing.T) {
	modules := workspace(t)
	if len(modules) < 8 {
		t.Fatalf("found %d modules: the rules were asked about too little", len(modules))
	}
	for _, dir := range beside {
		modules = append(modules, read(t, dir))
	}
	for _, violations := range [][]string{skewedVersions(modules), skewedGo(modules), oddReplaces(modules)} {
		for _, v := range violations {
			t.Error(v)
		}
	}
}

// A module that nobody decided about would be in no rule.
func TestEveryModuleIsDecidedAbout(t *testing.T) {
	var known []string
	for _, m := range workspace(t) {
		known = append(known, m.dir)
	}
	known = slices.Sorted(slices.Values(slices.Concat(known, beside, slices.Collect(maps.Keys(apart)))))
	var found []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && (strings.HasPrefix(name, ".") || name == "bin" || name == "third_party"):
			return filepath.SkipDir // Not ours: built, fetched, or state of local runs.
		case name == "go.mod":
			dir, err := filepath.Rel("..", filepath.Dir(path))
			found = append(found, dir)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	if !slices.Equal(found, known) {
		t.Errorf("there are modules in %q, and decided about are %q", found, known)
	}
}

// What executor and validator speak to clusters with and what tests run as one are of one release:
// libraries of Kubernetes of several are never meant to be mixed.
func TestLibrariesOfKubernetesAreOfOneRelease(t *testing.T) {
	versions := map[string][]string{}
	for _, dir := range []string{"services/executor", "services/validator", "tools/controlplane"} {
		file, replaced := read(t, dir).file, map[string]string{}
		for _, r := range file.Replace {
			replaced[r.Old.Path] = r.New.Version
		}
		for _, r := range file.Require {
			// Kubernetes itself is v1 of what its libraries are v0 of; klog and the like have versions
			// of their own.
			version := strings.Replace(cmp.Or(replaced[r.Mod.Path], r.Mod.Version), "v1.", "v0.", 1)
			name, library := strings.CutPrefix(r.Mod.Path, "k8s.io/")
			if library && !strings.HasPrefix(name, "klog/") && !strings.HasPrefix(version, "v0.0.0-") {
				versions[version] = append(versions[version], dir+": "+name)
			}
		}
	}
	if len(versions) != 1 {
		t.Errorf("they are of %d: %v", len(versions), versions)
	}
}

// skewedVersions names every dependency that two modules require in different
// versions. The workspace builds all of them with the newest, so that what is tested
// here would not be what a module builds on its own, as its image does.
func skewedVersions(modules []module) []string {
	users := map[string]map[string][]string{}
	for _, m := range modules {
		for _, r := range m.file.Require {
			if users[r.Mod.Path] == nil {
				users[r.Mod.Path] = map[string][]string{}
			}
			users[r.Mod.Path][r.Mod.Version] = append(users[r.Mod.Path][r.Mod.Version], m.dir)
		}
	}
	var violations []string
	for dependency, versions := range users {
		if len(versions) == 1 {
			continue
		}
		var parts []string
		for version, dirs := range versions {
			parts = append(parts, fmt.Sprintf("%s in %s", version, strings.Join(dirs, ", ")))
		}
		slices.Sort(parts)
		violations = append(violations, fmt.Sprintf("%s: %s; run 'make tidy'", dependency, strings.Join(parts, "; ")))
	}
	slices.Sort(violations)
	return violations
}

// skewedGo names every module whose go line differs from the first one's. A newer
// one stops the whole workspace; an older one compiles with other semantics.
func skewedGo(modules []module) []string {
	var violations []string
	for _, m := range modules {
		if m.file.Go == nil {
			violations = append(violations, m.dir+": no go line")
		} else if want := modules[0].file.Go; want != nil && m.file.Go.Version != want.Version {
			violations = append(violations, fmt.Sprintf("%s: go %s, but %s has go %s", m.dir, m.file.Go.Version, modules[0].dir, want.Version))
		}
	}
	return violations
}

// oddReplaces names every requirement of ours that is not v0.0.0 replaced by its
// folder, and every replacement of anything else. Without the line a module builds
// in the workspace only; a fork that replaces a dependency belongs in the open.
func oddReplaces(modules []module) []string {
	dirs := map[string]string{}
	for _, m := range modules {
		dirs[m.file.Module.Mod.Path] = m.dir
	}
	var violations []string
	for _, m := range modules {
		replaced := map[string]string{}
		for _, r := range m.file.Replace {
			target, ours := dirs[r.Old.Path]
			if !ours || filepath.Join(m.dir, r.New.Path) != filepath.Clean(target) {
				violations = append(violations, fmt.Sprintf("%s: replaces %s with %s", m.dir, r.Old.Path, r.New.Path))
			}
			replaced[r.Old.Path] = r.New.Path
		}
		for _, r := range m.file.Require {
			if _, ours := dirs[r.Mod.Path]; !ours {
				continue
			}
			if r.Mod.Version != "v0.0.0" || replaced[r.Mod.Path] == "" {
				violations = append(violations, fmt.Sprintf("%s: requires %s %s, want v0.0.0 and a replace line", m.dir, r.Mod.Path, r.Mod.Version))
			}
		}
	}
	return violations
}

func TestEveryModuleRuleCanFail(t *testing.T) {
	proto := "module " + house + "/proto\ngo 1.26.0\nrequire example.org/a v1.1.0\n"
	core := "module " + house + "/procedure\ngo 1.26.0\nrequire " + house + "/proto v0.0.0\n"
	replace := "replace " + house + "/proto => ../proto\n"
	tests := []struct {
		name  string
		check func([]module) []string
		core  string
		want  string
	}{
		{"versions agree", skewedVersions, core + "require example.org/a v1.1.0\n", ""},
		{"versions differ", skewedVersions, core + "require example.org/a v1.2.0\n", "example.org/a: v1.1.0 in proto; v1.2.0 in procedure"},
		{"versions differ, indirectly", skewedVersions, core + "require example.org/a v1.2.0 // indirect\n", "v1.2.0 in procedure"},
		{"go lines agree", skewedGo, core, ""},
		{"a newer go line", skewedGo, strings.Replace(core, "1.26.0", "1.26.9", 1), "procedure: go 1.26.9, but proto has go 1.26.0"},
		{"no go line", skewedGo, strings.Replace(core, "go 1.26.0\n", "", 1), "procedure: no go line"},
		{"ours replaced by its folder", oddReplaces, core + replace, ""},
		{"ours not replaced", oddReplaces, core, "want v0.0.0 and a replace line"},
		{"ours in a released version", oddReplaces, strings.Replace(core, "v0.0.0", "v0.1.0", 1) + replace, "requires " + house + "/proto v0.1.0"},
		{"ours replaced by another folder", oddReplaces, core + strings.Replace(replace, "../proto", "../old", 1), "replaces " + house + "/proto with ../old"},
		{"a fork", oddReplaces, core + replace + "replace example.org/a => example.org/fork v1.0.0\n", "replaces example.org/a with example.org/fork"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(tt.check([]module{parse(t, "proto", []byte(proto)), parse(t, "procedure", []byte(tt.core))}), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// workspace reads go.work and every go.mod that it uses, and compares the go line of
// go.work with that of the first module, with which the others are compared.
func workspace(t *testing.T) []module {
	t.Helper()
	const root = ".."
	data, err := os.ReadFile(filepath.Join(root, "go.work"))
	if err != nil {
		t.Fatal(err)
	}
	work, err := modfile.ParseWork("go.work", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	var modules []module
	for _, use := range work.Use {
		modules = append(modules, read(t, filepath.Clean(use.Path)))
	}
	if root := modules[0].file; work.Go == nil || root.Go == nil || work.Go.Version != root.Go.Version {
		t.Errorf("go.work and %s/go.mod differ in their go lines", modules[0].dir)
	}
	return modules
}

// read reads the go.mod of a folder.
func read(t *testing.T, dir string) module {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, dir, data)
}

// parse parses one go.mod.
func parse(t *testing.T, dir string, data []byte) module {
	t.Helper()
	file, err := modfile.Parse(filepath.Join(dir, "go.mod"), data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return module{dir: dir, path: filepath.Join("..", dir), file: file}
}

// Where the list of modules comes out empty, everything passes: nothing is looked at.
func TestTheModulesAreListedWithAndWithoutTheWorkspace(t *testing.T) {
	list := func(workspace string) string {
		cmd := exec.Command("bash", filepath.Join("..", "tools", "modules.sh"))
		cmd.Env = append(os.Environ(), "GOWORK="+workspace)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("GOWORK=%s: %v", workspace, err)
		}
		return string(out)
	}
	with, without := list(""), list("off")
	if with != without {
		t.Errorf("listed with the workspace:\n%swithout:\n%s", with, without)
	}
	for _, module := range []string{"proto", "procedure", "internal", "services/executor", "."} {
		if !strings.Contains("\n"+without, "\n"+module+"\n") {
			t.Errorf("%s is not listed:\n%s", module, without)
		}
	}
}
