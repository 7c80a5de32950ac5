package procedure_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowedImports is all that the procedure may know, with the reason.
var allowedImports = map[string]string{
	"crypto/sha256":   "digests",
	"encoding/base32": "ids of releases",
	"encoding/binary": "digests",
	"encoding/hex":    "digests",
	"errors":          "sentinels",
	"fmt":             "reasons in errors",
	"hash":            "digests",
	"math":            "digests",
	"regexp":          "names",
	"slices":          "values",
	"strings":         "values",
	"time":            "times as values; its clock and timers are forbidden below",

	"google.golang.org/protobuf/proto":                            "the contract",
	"google.golang.org/protobuf/reflect/protoreflect":             "digests of messages",
	"google.golang.org/protobuf/types/known/durationpb":           "the contract",
	"google.golang.org/protobuf/types/known/timestamppb":          "the contract",
	"github.com/blackdice/shipwarden/proto/shipwarden/release/v1": "the contract",
}

// forbiddenNames are what is forbidden of the packages that are allowed.
var forbiddenNames = map[string][]string{
	"time":        {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "LoadLocation", "Local"},
	"fmt":         {"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"},
	"timestamppb": {"Now"},
}

// TestProcedureIsPure holds the package to its comment: no clock, network,
// database, file, goroutine, chance or logger, so that the same events give the
// same state in every process and in every year.
func TestProcedureIsPure(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		checked++
		for _, v := range impurities(t, file, nil) {
			t.Error(v)
		}
	}
	if checked < 15 {
		t.Errorf("only %d files were looked at", checked)
	}
}

// TestImpurityIsFound plants what must be found.
func TestImpurityIsFound(t *testing.T) {
	for want, source := range map[string]string{
		"imports net":                 "import \"net\"\nvar _ net.IP",
		"imports os":                  "import \"os\"\nvar _ = os.Args",
		"imports log/slog":            "import \"log/slog\"\nvar _ = slog.Default",
		"imports math/rand/v2":        "import \"math/rand/v2\"\nvar _ = rand.Int",
		"imports context":             "import \"context\"\nvar _ context.Context",
		"imports unsafe":              "import \"unsafe\"\nvar _ unsafe.Pointer",
		"imports C":                   "import \"C\"",
		"imports sync":                "import \"sync\"\nvar _ sync.Mutex",
		"uses time.Now":               "import \"time\"\nvar _ = time.Now",
		"uses time.Since":             "import clock \"time\"\nvar _ = clock.Since",
		"uses time.After":             "import \"time\"\nfunc f() { <-time.After(1) }",
		"uses fmt.Println":            "import \"fmt\"\nfunc f() { fmt.Println() }",
		"uses timestamppb.Now":        "import \"google.golang.org/protobuf/types/known/timestamppb\"\nvar _ = timestamppb.Now",
		"hides its names behind a":    "import . \"time\"\nvar _ = Now",
		"starts a goroutine":          "func f() { go f() }",
		"uses a channel":              "func f(c chan int) { c <- 1 }",
		"selects":                     "func f() { select {} }",
		"panics":                      "func f() { panic(1) }",
		"is changed after its making": "var n int\nfunc f() { n = 2 }",
	} {
		found := impurities(t, "planted.go", "package procedure\n"+source+"\n")
		if !slices.ContainsFunc(found, func(v string) bool { return strings.Contains(v, want) }) {
			t.Errorf("%q was not found in\n%s\nbut %q", want, source, found)
		}
	}
	if found := impurities(t, "planted.go", "package procedure\nimport \"time\"\nvar _ = time.Second\n"); len(found) > 0 {
		t.Errorf("found in what is pure: %q", found)
	}
}

// impurities lists what the file must not know. A nil source is read from the file.
func impurities(t *testing.T, file string, source any) []string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	report := func(at token.Pos, format string, args ...any) {
		found = append(found, fmt.Sprintf("%s: %s", fset.Position(at), fmt.Sprintf(format, args...)))
	}
	names := map[string]string{}
	for _, i := range f.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := allowedImports[path]; !ok {
			report(i.Pos(), "imports %s", path)
		}
		name := path[strings.LastIndex(path, "/")+1:]
		if i.Name != nil {
			if i.Name.Name == "." {
				report(i.Pos(), "hides its names behind a dot")
			}
			names[i.Name.Name] = name
			continue
		}
		names[name] = name
	}
	globals := map[string]bool{}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					globals[n.Name] = true
				}
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n.Pos(), "starts a goroutine")
		case *ast.ChanType, *ast.SendStmt:
			report(n.Pos(), "uses a channel")
		case *ast.SelectStmt:
			report(n.Pos(), "selects")
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" {
				report(n.Pos(), "panics")
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && n.Tok == token.ASSIGN && globals[id.Name] {
					report(n.Pos(), "%s is changed after its making", id.Name)
				}
			}
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && slices.Contains(forbiddenNames[names[id.Name]], n.Sel.Name) {
				report(n.Pos(), "uses %s.%s", names[id.Name], n.Sel.Name)
			}
		}
		return true
	})
	return found
}
