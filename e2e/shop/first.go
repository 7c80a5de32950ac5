package shop

import (
	"context"
	"os"
	"path/filepath"

	"buf.build/go/protoyaml"
)

// First returns a request that somebody could send who has just arrived, as a YAML file: the
// one that the demo left, or one that is made now, with the first version of the shop.
func (w *World) First(ctx context.Context) (string, error) {
	file := func(name string) string { return filepath.Join(w.dir, "requests", name+".yaml") }
	for _, name := range []string{"next", "first"} {
		if _, err := os.Stat(file(name)); err == nil {
			return file(name), nil
		}
	}
	a, err := w.Build(ctx, "1.0.0", 0)
	if err != nil {
		return "", err
	}
	request, err := w.Request(a, "first")
	if err != nil {
		return "", err
	}
	text, err := protoyaml.MarshalOptions{UseProtoNames: true}.Marshal(request)
	if err != nil {
		return "", err
	}
	return file("first"), os.WriteFile(file("first"), text, 0o600)
}
