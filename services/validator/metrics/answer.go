package metrics

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/strictjson"
)

// Point is one value at its time.
type Point struct {
	Time time.Time `json:"time"`
	// Value is a decimal number, in the shortest form that is read as the same one, or NaN,
	// +Inf or -Inf.
	Value string `json:"value"`
}

// Series are the points of one series, in the order of their times.
type Series []Point

// decimal is how numbers are written. Whatever else a reader may take for one is none.
var decimal = regexp.MustCompile(`^[+-]?[0-9]+([.][0-9]+)?([eE][+-]?[0-9]+)?$`)

// Number returns the value, and whether it is a number that can be compared: NaN and what is
// infinite are none.
func (p Point) Number() (float64, bool) {
	n, err := strconv.ParseFloat(p.Value, 64)
	return n, err == nil && decimal.MatchString(p.Value)
}

// At is the time of so many seconds since 1970, to the millisecond.
func At(seconds float64) time.Time { return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC() }

// number is a value as the source wrote it in its shortest form; what is too large is
// infinite.
func number(written string) (string, bool) {
	if slices.Contains([]string{"NaN", "+Inf", "-Inf"}, written) {
		return written, true
	}
	n, err := strconv.ParseFloat(written, 64)
	if !decimal.MatchString(written) || err != nil && !errors.Is(err, strconv.ErrRange) {
		return "", false
	}
	return strconv.FormatFloat(n, 'g', -1, 64), true
}

// word is a kind of error.
var word = regexp.MustCompile(`^[a-z_]{1,32}$`)

// maxTime is the end of the year 9999, in seconds.
const maxTime = 253402300799

// words are the names of an answer that are known. One that is not may say that data is
// missing.
var words = []string{"status", "data", "warnings", "infos", "isPartial", "stats", "trace"}

// parse reads the answer to a question. What is missing, or not as it was asked for, is an
// error; that there is no series is for the caller to judge.
func parse(body []byte, q Question) ([]Series, error) {
	answer, err := strictjson.Object(body)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		if !slices.Contains(words, name) {
			return nil, fmt.Errorf("it says %.40q, of which nobody knows here what it means", name)
		}
	}
	if status, _ := answer["status"].(string); status != "success" {
		return nil, errors.New("it is no success")
	}
	if partial, ok := answer["isPartial"]; ok && partial != false {
		return nil, errors.New("it says that it is partial")
	}
	if err := warned(answer["warnings"]); err != nil {
		return nil, err
	}
	data, ok := answer["data"].(map[string]any)
	if !ok {
		return nil, errors.New("it has no data")
	}
	kind, values := "vector", "value"
	if q.span() {
		kind, values = "matrix", "values"
	}
	if got, _ := data["resultType"].(string); got != kind {
		return nil, fmt.Errorf("it is a %.20q, not a %s", got, kind)
	}
	result, ok := data["result"].([]any)
	if !ok {
		return nil, errors.New("it has no result")
	}
	var out []Series
	seen := map[string]bool{}
	for i, each := range result {
		name, points, err := series(each, values, q)
		if err != nil {
			return nil, fmt.Errorf("result[%d]: %w", i, err)
		}
		if seen[name] {
			return nil, fmt.Errorf("result[%d]: the series is there already", i)
		}
		seen[name] = true
		out = append(out, points)
	}
	return out, nil
}

// warned is an error where there are warnings, in the words of the first one.
func warned(warnings any) error {
	if warnings == nil {
		return nil
	}
	list, ok := warnings.([]any)
	switch {
	case !ok:
		return errors.New("its warnings are no list")
	case len(list) == 0:
		return nil
	}
	first, _ := list[0].(string)
	return fmt.Errorf("it comes with %d warnings: %.80s", len(list), first)
}

// series reads one series, and what tells it from others.
func series(each any, values string, q Question) (string, Series, error) {
	object, ok := each.(map[string]any)
	if !ok {
		return "", nil, errors.New("it is no series")
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if name != "metric" && name != values {
			return "", nil, fmt.Errorf("it has %.20q, which is no number", name)
		}
	}
	labels, ok := object["metric"].(map[string]any)
	if !ok {
		return "", nil, errors.New("it has no labels")
	}
	var name strings.Builder
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		text, ok := labels[label].(string)
		if !ok {
			return "", nil, errors.New("a label is no text")
		}
		fmt.Fprintf(&name, "%q=%q,", label, text)
	}
	list, ok := object[values].([]any)
	if !ok {
		return "", nil, errors.New("it has no values")
	}
	if values == "value" {
		list = []any{list}
	}
	found, err := points(list, q)
	return name.String(), found, err
}

// points reads the points of a series.
func points(list []any, q Question) (Series, error) {
	first, last := q.times()
	most := 1
	if q.span() {
		most = int(q.Over/q.Step) + 1
	}
	switch {
	case len(list) == 0:
		return nil, errors.New("it has no points")
	case len(list) > most:
		return nil, fmt.Errorf("it has %d points, where there can be %d", len(list), most)
	}
	var out Series
	for i, each := range list {
		one, err := point(each)
		switch {
		case err != nil:
			return nil, fmt.Errorf("point %d: %w", i, err)
		case one.Time.After(last):
			return nil, fmt.Errorf("point %d is of a time after the one that was asked for", i)
		case q.span() && one.Time.Before(first):
			return nil, fmt.Errorf("point %d is of a time before those that were asked for", i)
		case i > 0 && !one.Time.After(out[i-1].Time):
			return nil, fmt.Errorf("point %d does not follow the one before it", i)
		}
		out = append(out, one)
	}
	return out, nil
}

// point reads a time in seconds and a value.
func point(each any) (Point, error) {
	pair, ok := each.([]any)
	if !ok || len(pair) != 2 {
		return Point{}, errors.New("it is no time with a value")
	}
	written, ok := pair[0].(json.Number)
	if !ok || !decimal.MatchString(written.String()) {
		return Point{}, errors.New("its time is no number")
	}
	seconds, err := strconv.ParseFloat(written.String(), 64)
	if err != nil || seconds < 0 || seconds > maxTime {
		return Point{}, errors.New("its time is none")
	}
	text, _ := pair[1].(string)
	value, ok := number(text)
	if !ok {
		return Point{}, errors.New("its value is no number")
	}
	return Point{Time: At(seconds), Value: value}, nil
}

// complaint is what an answer that is an error says: its kind and its text, bounded. Where
// it is no such answer, both are empty.
func complaint(body []byte) (kind, text string) {
	answer, err := strictjson.Object(body)
	if err != nil || answer["status"] != "error" {
		return "", ""
	}
	kind, _ = answer["errorType"].(string)
	text, _ = answer["error"].(string)
	if !word.MatchString(kind) {
		return "", ""
	}
	return kind, text
}
