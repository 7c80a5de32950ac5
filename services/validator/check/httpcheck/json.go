package httpcheck

import (
	"encoding/json"
	"strings"

	"github.com/go-openapi/jsonpointer"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/strictjson"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxShown bounds a number in what is kept of a sample, in bytes.
const maxShown = 24

// compareJSON says what in a body is not as expected, the first of it, or "" where all is;
// and the numbers that lie within their bounds. A body of which readers may disagree is as
// good as none.
func compareJSON(expected []*releasev1.ExpectedJson, body []byte) (numbers []string, wrong string) {
	if len(expected) == 0 {
		return nil, ""
	}
	document, err := strictjson.Value(body)
	if err != nil {
		return nil, "the body is not JSON, or not that of which all read the same"
	}
	for _, e := range expected {
		value, there := find(document, e.GetPointer())
		number, wrong := compareValue(e, value, there)
		if wrong != "" {
			return nil, criterion.Place(e) + " " + wrong
		}
		if number != "" {
			numbers = append(numbers, criterion.Place(e)+" "+number)
		}
	}
	return numbers, ""
}

// find returns the value at a place, and whether there is one.
func find(document any, place string) (any, bool) {
	pointer, err := jsonpointer.New(place)
	if err != nil {
		return nil, false
	}
	value, _, err := pointer.Get(document)
	return value, err == nil
}

// compareValue says what is wrong with a value, without a text that it is, and the number
// that lies within bounds.
func compareValue(expected *releasev1.ExpectedJson, value any, there bool) (number, wrong string) {
	if e, ok := expected.GetExpect().(*releasev1.ExpectedJson_Present); ok {
		switch {
		case e.Present && !there:
			return "", "is missing"
		case !e.Present && there:
			return "", "is there"
		}
		return "", ""
	}
	if !there {
		return "", "is missing"
	}
	switch e := expected.GetExpect().(type) {
	case *releasev1.ExpectedJson_Text:
		if text, ok := value.(string); ok && text == e.Text {
			return "", ""
		}
	case *releasev1.ExpectedJson_Truth:
		if truth, ok := value.(bool); ok && truth == e.Truth {
			return "", ""
		}
	case *releasev1.ExpectedJson_Number:
		return compareNumber(value, &releasev1.NumberRange{Min: &e.Number, Max: &e.Number}, criterion.Number(e.Number))
	case *releasev1.ExpectedJson_Range:
		return compareNumber(value, e.Range, criterion.Bounds(e.Range))
	}
	return "", "is not as expected"
}

// compareNumber says whether a value is a number within bounds.
func compareNumber(value any, bounds *releasev1.NumberRange, words string) (number, wrong string) {
	written, ok := value.(json.Number)
	if !ok {
		return "", "is no number, expected " + words
	}
	shown := written.String()
	if len(shown) > maxShown {
		shown = strings.ToValidUTF8(shown[:maxShown], "") + "…"
	}
	n, err := written.Float64()
	if err != nil {
		return "", "is " + shown + ", too large to compare"
	}
	if !criterion.Within(bounds, n) {
		return "", "is " + shown + ", expected " + words
	}
	return shown, ""
}
