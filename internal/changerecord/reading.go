package changerecord

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Answer is what a system said of a record.
type Answer struct {
	// Reading is nil where the system says that there is no such record.
	Reading *releasev1.RecordReading
	// Document is what of the answer the reading was made of, as JSON, to be kept as
	// evidence: for the same reading the same bytes.
	Document []byte
}

// layouts are those of times, in the order in which they are tried: RFC 3339, Jira's, and
// ServiceNow's, whose interface tells times in UTC.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999-0700", time.DateTime}

// maxText bounds what is taken of one field of an answer, in bytes.
const maxText = 256

// Look asks for a record. Every error wraps ErrUnknown.
func (c *Connector) Look(ctx context.Context, id string) (Answer, error) {
	if !idPattern.MatchString(id) {
		return Answer{}, fmt.Errorf("%w: %q is no id", ErrUnknown, id)
	}
	status, body, err := c.get(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	var reading *releasev1.RecordReading
	switch {
	case status == http.StatusNotFound:
	case status >= 300 && status < 400:
		return Answer{}, fmt.Errorf("%w: HTTP %d; redirects are not followed", ErrUnknown, status)
	case status != http.StatusOK:
		return Answer{}, fmt.Errorf("%w: HTTP %d %s", ErrUnknown, status, http.StatusText(status))
	default:
		if reading, err = read(c.fields, body); err != nil {
			return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
		}
	}
	document, err := c.document(id, status, reading, body)
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return Answer{Reading: reading, Document: document}, nil
}

// read takes the reading out of an answer; nil where it holds no record.
func read(fields *configv1.RecordFields, body []byte) (*releasev1.RecordReading, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var answer any
	if err := decoder.Decode(&answer); err != nil || decoder.More() {
		return nil, errNotJSON
	}
	r := &releasev1.RecordReading{}
	var err error
	if r.Id, err = text(answer, fields.GetId(), "id"); err != nil || r.GetId() == "" {
		return nil, err
	}
	if r.State, err = text(answer, fields.GetState(), "state"); err != nil {
		return nil, err
	}
	if r.GetState() == "" {
		return nil, errNoState
	}
	if r.Service, err = text(answer, fields.GetService(), "service"); err != nil {
		return nil, err
	}
	if r.WindowStart, err = moment(answer, fields.GetWindowStart(), "window_start"); err != nil {
		return nil, err
	}
	r.WindowEnd, err = moment(answer, fields.GetWindowEnd(), "window_end")
	return r, err
}

// text is the value at a JSON pointer, empty where there is none.
func text(answer any, pointer, field string) (string, error) {
	if pointer == "" {
		return "", nil
	}
	switch v := at(answer, pointer).(type) {
	case nil:
		return "", nil
	case string:
		if len(v) > maxText {
			return "", fmt.Errorf("fields.%s: the value is longer than %d bytes", field, maxText)
		}
		return strings.TrimSpace(v), nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", fmt.Errorf("fields.%s: the value is neither text nor a number", field)
}

func moment(answer any, pointer, field string) (*timestamppb.Timestamp, error) {
	value, err := text(answer, pointer, field)
	if err != nil || value == "" {
		return nil, err
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, value); err == nil && t.Year() > 1 && t.Year() < 9999 {
			return timestamppb.New(t), nil
		}
	}
	return nil, fmt.Errorf("fields.%s: %q is no time", field, value)
}

// at follows a JSON pointer (RFC 6901); nil where it leads nowhere.
func at(value any, pointer string) any {
	for _, step := range strings.Split(pointer, "/")[1:] {
		step = unescape(step)
		switch v := value.(type) {
		case map[string]any:
			value = v[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(v) {
				return nil
			}
			value = v[i]
		default:
			return nil
		}
	}
	return value
}
