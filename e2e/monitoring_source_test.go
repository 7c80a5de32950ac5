package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// metricsOfSource reads the names and labels out of composite literals such as
// prometheus.CounterOpts{Name: …} and the []string beside them.
func metricsOfSource(t *testing.T, dir string) map[string]metric {
	t.Helper()
	out := map[string]metric{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			name, kind := optsOf(call.Args[0])
			if name == "" {
				return true
			}
			m := metric{histogram: kind == "HistogramOpts"}
			if len(call.Args) > 1 {
				m.labels = stringsOf(call.Args[1])
			}
			out[name] = m
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// optsOf returns the Name and the type of a literal such as prometheus.GaugeOpts{…}.
func optsOf(e ast.Expr) (name, kind string) {
	literal, ok := e.(*ast.CompositeLit)
	if !ok {
		return "", ""
	}
	typ, ok := literal.Type.(*ast.SelectorExpr)
	if !ok || !strings.HasSuffix(typ.Sel.Name, "Opts") {
		return "", ""
	}
	for _, element := range literal.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, isName := pair.Key.(*ast.Ident)
		value, isText := pair.Value.(*ast.BasicLit)
		if isName && isText && key.Name == "Name" {
			text, err := strconv.Unquote(value.Value)
			if err == nil {
				return text, typ.Sel.Name
			}
		}
	}
	return "", ""
}

// stringsOf returns the strings of a []string literal.
func stringsOf(e ast.Expr) []string {
	literal, ok := e.(*ast.CompositeLit)
	if !ok {
		return nil
	}
	var out []string
	for _, element := range literal.Elts {
		if value, ok := element.(*ast.BasicLit); ok {
			if text, err := strconv.Unquote(value.Value); err == nil {
				out = append(out, text)
			}
		}
	}
	return out
}
