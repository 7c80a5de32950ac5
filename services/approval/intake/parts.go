package intake

import (
	"bytes"
	"encoding/json"
)

// opens reports whether JSON without white space around it begins so.
func opens(value json.RawMessage, with byte) bool {
	value = bytes.TrimLeft(value, " \t\r\n")
	return len(value) > 0 && value[0] == with
}

// members calls each for every member of a valid JSON object, with its name as it is
// read and as it is written.
func members(object json.RawMessage, each func(name string, quoted, value json.RawMessage)) {
	d := json.NewDecoder(bytes.NewReader(object))
	_, _ = d.Token() // The brace; the object is valid.
	for d.More() {
		from := d.InputOffset()
		name, err := d.Token()
		text, ok := name.(string)
		if err != nil || !ok {
			return
		}
		quoted := bytes.TrimLeft(object[from:d.InputOffset()], ", \t\r\n")
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return
		}
		each(text, quoted, value)
	}
}

// elements calls each for every element of a valid JSON list.
func elements(list json.RawMessage, each func(i int, element json.RawMessage)) {
	d := json.NewDecoder(bytes.NewReader(list))
	_, _ = d.Token() // The bracket; the list is valid.
	for i := 0; d.More(); i++ {
		var element json.RawMessage
		if d.Decode(&element) != nil {
			return
		}
		each(i, element)
	}
}
