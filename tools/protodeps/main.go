package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/jhump/protoreflect/v2/protoprint"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// wanted lists what a .proto file of ours may import from elsewhere. Files under
// google/protobuf are missing because buf brings them along.
var wanted = []string{
	"buf/validate/validate.proto",
	"google/api/annotations.proto",
	"google/api/field_behavior.proto",
	"google/api/http.proto",
	"google/api/resource.proto",
	"google/rpc/code.proto",
	"google/rpc/error_details.proto",
	"google/rpc/status.proto",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: protodeps <folder>")
		os.Exit(2)
	}
	if err := write(os.Args[1], wanted); err != nil {
		fmt.Fprintln(os.Stderr, "protodeps:", err)
		os.Exit(1)
	}
}

// write prints the named files into the folder, in place of what it held. The
// new folder is complete before it takes the old one's place, so that a run that
// is interrupted leaves the old one standing.
func write(folder string, names []string) error {
	next, err := os.MkdirTemp(filepath.Dir(filepath.Clean(folder)), ".protodeps-")
	if err != nil {
		return fmt.Errorf("prepare %s: %w", folder, err)
	}
	defer os.RemoveAll(next)
	if err := os.Chmod(next, 0o755); err != nil {
		return fmt.Errorf("prepare %s: %w", folder, err)
	}
	for _, name := range names {
		file, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if err := printFile(file, filepath.Join(next, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("replace %s: %w", folder, err)
	}
	if err := os.Rename(next, folder); err != nil {
		return fmt.Errorf("replace %s: %w", folder, err)
	}
	return nil
}

// printFile writes the source of one descriptor, with the folders above it.
func printFile(file protoreflect.FileDescriptor, path string) error {
	source, err := (&protoprint.Printer{}).PrintProtoToString(file)
	if err != nil {
		return fmt.Errorf("print %s: %w", file.Path(), err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", file.Path(), err)
	}
	if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", file.Path(), err)
	}
	return nil
}
