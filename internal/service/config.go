package service

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
)

// maxConfigBytes bounds a configuration file. Anything longer is the wrong file.
const maxConfigBytes = 1 << 20

var (
	// ErrConfig means that a configuration file is not valid; the error that wraps
	// it lists every fault with its file, line and column.
	ErrConfig = errors.New("invalid configuration")
	// ErrTooLarge means that a file is longer than it may be.
	ErrTooLarge = errors.New("file is too large")
)

// LoadConfig reads the YAML file at path into msg and validates it against the
// protovalidate rules of its schema. An unknown key, a key given twice and a
// second document are errors, so a misspelled setting never goes unnoticed.
func LoadConfig(path string, msg proto.Message) error {
	data, err := readLimited(path, maxConfigBytes)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if err := checkShape(path, data); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	options := protoyaml.UnmarshalOptions{Path: path, Validator: validator{}}
	if err := options.Unmarshal(data, msg); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	// An empty file is not looked at above, but may lack what is required.
	if err := protovalidate.Validate(msg); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	return nil
}

// validator gives protoyaml the validation function in the form it takes.
type validator struct{}

// Validate implements protoyaml.Validator.
func (validator) Validate(msg proto.Message) error { return protovalidate.Validate(msg) }

// checkShape refuses what protoyaml would read a part of only: a second document,
// and a key that is given twice.
func checkShape(path string, data []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var errs []error
	for count := 0; ; count++ {
		var node yaml.Node
		err := decoder.Decode(&node)
		switch {
		case errors.Is(err, io.EOF):
			return errors.Join(errs...)
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		case count > 0:
			return fmt.Errorf("%s:%d:%d: a second document begins here", path, node.Line, node.Column)
		}
		errs = append(errs, repeatedKeys(path, &node)...)
	}
}

// repeatedKeys lists the keys below node that their mapping already had.
func repeatedKeys(path string, node *yaml.Node) []error {
	var errs []error
	if node.Kind == yaml.MappingNode {
		first := map[string]int{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			if line, found := first[key.Value]; found {
				errs = append(errs, fmt.Errorf("%s:%d:%d: key %q is given twice, first in line %d",
					path, key.Line, key.Column, key.Value, line))
				continue
			}
			first[key.Value] = key.Line
		}
	}
	for _, child := range node.Content {
		errs = append(errs, repeatedKeys(path, child)...)
	}
	return errs
}

// readLimited reads a file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return readAtMost(file, limit)
}

// readAtMost reads an open file of at most limit bytes.
func readAtMost(file *os.File, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", file.Name(), ErrTooLarge, limit)
	}
	return data, nil
}
