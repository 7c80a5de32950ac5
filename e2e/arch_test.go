package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// edge is one import: who, and what. Packages are written as inHouse writes them.
type edge struct {
	from, to string
	// test says that only a test imports it.
	test bool
}

// rule is one sentence about imports. A rule that cannot fail says nothing, so each
// brings an edge that breaks it and one that looks like it and does not.
type rule struct {
	name, why string
	breaks    func(edge) bool
	bad, fine edge
}

// rules are the import rules of the repository. The way is proto <- procedure <-
// internal <- services/* <- roof, and a path is a permission: the folder that a
// line stands in says what it may touch.
var rules = []rule{
	{
		name:   "imports run to the left",
		why:    "what lies to the left must be understood, tested and built without what lies to the right",
		breaks: func(e edge) bool { return room(e.to) > room(e.from) },
		bad:    edge{from: "procedure", to: "internal/eventstore", test: true},
		fine:   edge{from: "internal/eventstore", to: "procedure"},
	},
	{
		name: "services never import each other",
		why:  "services talk through the stream: an import would be a permission to do what the other may",
		breaks: func(e edge) bool {
			return service(e.from) != "" && service(e.to) != "" && service(e.from) != service(e.to)
		},
		bad:  edge{from: "services/approval/gates", to: "services/recorder/query"},
		fine: edge{from: "services/approval/gates", to: "services/approval/config"},
	},
	{
		name: "only the executor imports drivers",
		why:  "a driver changes production, and nobody else may, not even by a helper function of it",
		breaks: func(e edge) bool {
			return under(e.to, "services/executor/driver") && service(e.from) != "executor"
		},
		bad:  edge{from: "roof/e2e/rig", to: "services/executor/driver/host"},
		fine: edge{from: "services/executor/execute", to: "services/executor/driver/host"},
	},
	{
		name: "services start programs by internal/argv alone",
		why:  "there it is bounded what a program is given, how long it runs and what it leaves behind",
		breaks: func(e edge) bool {
			return e.to == "os/exec" && !e.test && service(e.from) != "" && !kit(e.from)
		},
		bad:  edge{from: "services/executor/driver/command", to: "os/exec"},
		fine: edge{from: "services/executor/driver/drivertest", to: "os/exec"},
	},
	{
		name: "only the executor and the check of the kind command start programs",
		why:  "whoever approves, looks otherwise or records has no business running anything, least of all by accident",
		breaks: func(e edge) bool {
			return under(e.to, "internal/argv") && !e.test &&
				service(e.from) != "executor" && e.from != "services/validator/check/commandcheck"
		},
		bad:  edge{from: "services/validator/verify", to: "internal/argv"},
		fine: edge{from: "services/validator/check/commandcheck", to: "internal/argv"},
	},
	{
		name: "only the recorder reads and writes the database",
		why:  "the stream decides; a service that asked the record would act on what may lag behind it",
		breaks: func(e edge) bool {
			return database(e.to) && service(e.from) != "" && service(e.from) != "recorder"
		},
		bad:  edge{from: "services/approval/authorize", to: "github.com/jackc/pgx/v5/pgxpool"},
		fine: edge{from: "services/recorder/record", to: "github.com/jackc/pgx/v5/pgxpool"},
	},
	{
		name: "the messages bring no RPC",
		why:  "the core imports the messages: a stub beside them would put a network into its closure",
		breaks: func(e edge) bool {
			messages := under(e.from, "proto/shipwarden/release") || under(e.from, "proto/shipwarden/policy")
			return messages && under(e.to, "google.golang.org/grpc")
		},
		bad:  edge{from: "proto/shipwarden/release/v1", to: "google.golang.org/grpc/codes"},
		fine: edge{from: "proto/shipwarden/recorder/v1", to: "google.golang.org/grpc/codes"},
	},
	{
		name: "what is shipped holds no test kit",
		why:  "test servers take shortcuts, with keys and with fsync, that must not exist in a real process",
		breaks: func(e edge) bool {
			return (kit(e.to) || e.to == "testing") && !e.test && !kit(e.from)
		},
		bad:  edge{from: "roof/e2e/rig", to: "internal/natstest"},
		fine: edge{from: "services/executor/driver/drivertest", to: "internal/natstest"},
	},
}

func TestImportsKeepToTheRules(t *testing.T) {
	edges := imports(t)
	if len(edges) == 0 {
		t.Fatal("found no imports: the rules were asked about nothing")
	}
	for _, v := range broken(rules, edges) {
		t.Error(v)
	}
}

// A rule is only worth its line if it can fail.
func TestEveryImportRuleCanFail(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			if got := broken([]rule{r}, []edge{r.bad}); len(got) != 1 || !strings.Contains(got[0], r.why) {
				t.Errorf("%s -> %s: got %q, want one violation that says why", r.bad.from, r.bad.to, got)
			}
			if got := broken([]rule{r}, []edge{r.fine}); len(got) != 0 {
				t.Errorf("%s -> %s is allowed, got %q", r.fine.from, r.fine.to, got)
			}
		})
	}
}

// broken returns a sentence for each edge that breaks a rule.
func broken(rules []rule, edges []edge) []string {
	var violations []string
	for _, e := range edges {
		for _, r := range rules {
			if r.breaks(e) {
				violations = append(violations, fmt.Sprintf("%s imports %s, but %s: %s", e.from, e.to, r.name, r.why))
			}
		}
	}
	return violations
}

// rooms lists the folders of the modules in the direction of imports. The roof is
// everything else in the root module: commands, tests of the whole, examples.
var rooms = []string{"proto", "procedure", "internal", "services", "roof"}

// room says how far to the right a package lies. Packages of others lie at the far
// left: whether they may be used is for go.mod to say.
func room(pkg string) int {
	first, _, _ := strings.Cut(pkg, "/")
	return slices.Index(rooms, first)
}

// inHouse shortens the import path of a package of ours to where it lies:
// internal/envelope, roof/cmd/shipwarden. Other paths stay as they are.
func inHouse(importPath string) string {
	if importPath == house {
		return "roof"
	}
	rest, ours := strings.CutPrefix(importPath, house+"/")
	if !ours {
		return importPath
	}
	if room(rest) < 0 {
		return "roof/" + rest
	}
	return rest
}

// service returns the name of the service that a package belongs to, or nothing.
func service(pkg string) string {
	rest, ok := strings.CutPrefix(pkg, "services/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// under reports whether a package is the folder or lies below it.
func under(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// kit reports whether a package exists for tests: it is called <package>test.
func kit(pkg string) bool {
	base := path.Base(pkg)
	return strings.HasSuffix(base, "test") && base != "attest"
}

// database reports whether a package talks to PostgreSQL.
func database(pkg string) bool {
	return under(pkg, "github.com/jackc/pgx/v5") || under(pkg, "database/sql") || under(pkg, "github.com/pressly/goose/v3")
}

// imports lists every import of every module of the workspace.
func imports(t *testing.T) []edge {
	t.Helper()
	var edges []edge
	for _, m := range workspace(t) {
		list := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
		list.Dir = m.path
		out, err := list.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				t.Fatalf("go list in %s: %v\n%s", m.dir, err, exit.Stderr)
			}
			t.Fatalf("go list in %s: %v", m.dir, err)
		}
		for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
			var p struct {
				ImportPath                         string
				Imports, TestImports, XTestImports []string
			}
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("read go list of %s: %v", m.dir, err)
			}
			from := inHouse(p.ImportPath)
			for _, to := range p.Imports {
				edges = append(edges, edge{from: from, to: inHouse(to)})
			}
			for _, to := range slices.Concat(p.TestImports, p.XTestImports) {
				edges = append(edges, edge{from: from, to: inHouse(to), test: true})
			}
		}
	}
	return edges
}
