package strictyaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// yamlLine is how the library begins an error: with the line, unless it is the first.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax is an error of the YAML library with its place. The library knows the line,
// counted from 0 where it missed the end of something, and then it is the line where
// that began; the column is that of the first character in the line.
func syntax(err error, data []byte, filename string) error {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("%s: %w", filename, err)
	}
	text := err.Error()[len(m[0]):]
	line := 1
	if n, err := strconv.Atoi(m[1]); err == nil {
		line = n
		if strings.HasPrefix(text, "did not find") {
			line++
		}
	}
	if strings.HasPrefix(text, "did not find expected") && !strings.Contains(text, "node content") {
		text += " in what begins here"
	}
	lines := strings.Split(strings.TrimRight(string(data), " \t\r\n"), "\n")
	line = min(line, len(lines))
	column := 1 + len(lines[line-1]) - len(strings.TrimLeft(lines[line-1], " \t"))
	return fmt.Errorf("%s:%d:%d no YAML: %s", filename, line, column, text)
}

// checkJSON finds what is no JSON, and where: what is read as YAML would pass, or be
// told in words that mean nothing to whoever wrote JSON.
func checkJSON(data []byte, filename string) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	var whole json.RawMessage
	err := decoder.Decode(&whole)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:1:1 the document is empty", filename)
	}
	var bad *json.SyntaxError
	switch {
	case errors.As(err, &bad):
		line, column := position(data, int(bad.Offset)-1)
		return fmt.Errorf("%s:%d:%d no JSON: %w", filename, line, column, err)
	case err != nil: // it breaks off
		line, column := position(data, len(data))
		return fmt.Errorf("%s:%d:%d no JSON: it ends in the middle", filename, line, column)
	}
	end := int(decoder.InputOffset())
	if rest := bytes.TrimLeft(data[end:], " \t\r\n"); len(rest) > 0 {
		line, column := position(data, len(data)-len(rest))
		return fmt.Errorf("%s:%d:%d no JSON: only one value is read", filename, line, column)
	}
	return nil
}

// position is the line and the column of a byte, counted from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
}
