package terminal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// WriteJSON writes the message as JSON with the names of the contract
// (snake_case), indented by two spaces and ended by a line end. Control characters
// beyond ASCII are escaped too: a terminal may obey them.
func WriteJSON(w io.Writer, m proto.Message) error {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("write %s as JSON: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	var out bytes.Buffer
	raw = withLists(raw, m)
	// The library varies its white space on purpose; this makes it one form.
	if err := json.Indent(&out, compact(raw), "", "  "); err != nil {
		return fmt.Errorf("indent JSON: %w", err)
	}
	out.WriteByte('\n')
	_, err = w.Write(escapeJSON(out.Bytes()))
	return err
}

// withLists writes the lists of an answer that is a list also where they are empty: a
// script that counts releases must not stumble over there being none.
func withLists(raw []byte, m proto.Message) []byte {
	d := m.ProtoReflect().Descriptor()
	if !strings.HasPrefix(string(d.Name()), "List") {
		return raw
	}
	raw = compact(raw)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if !f.IsList() || m.ProtoReflect().Get(f).List().Len() > 0 {
			continue
		}
		sep := ","
		if string(raw) == "{}" {
			sep = ""
		}
		raw = append([]byte(`{"`+string(f.Name())+`":[]`+sep), raw[1:]...)
	}
	return raw
}

func compact(raw []byte) []byte {
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return raw
	}
	return out.Bytes()
}

// escapeJSON writes DEL and the C1 controls as \u00XX. Outside strings JSON has
// none of them.
func escapeJSON(text []byte) []byte {
	if !bytes.ContainsFunc(text, hidden) {
		return text
	}
	var out bytes.Buffer
	for _, r := range string(text) {
		if hidden(r) {
			fmt.Fprintf(&out, "\\u%04x", r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}

func hidden(r rune) bool {
	return r < 0x10000 && r != '\n' && !shown(r)
}

// WriteYAML writes the message as YAML with the names of the contract.
func WriteYAML(w io.Writer, m proto.Message) error {
	raw, err := protoyaml.MarshalOptions{Indent: 2, UseProtoNames: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("write %s as YAML: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	_, err = w.Write(raw)
	return err
}
