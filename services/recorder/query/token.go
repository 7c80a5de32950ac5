package query

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/procedure"
	"github.com/blackdice/shipwarden/services/recorder/ledger"
)

// token is the content of a page token: where the page before ended, and to which
// question that belongs. It gives no access, so it need not be a secret; it is
// read as strictly as anything that comes from outside.
type token struct {
	Question  string `json:"q"`
	Requested int64  `json:"t,omitempty"` // Microseconds, as the database has them.
	Release   string `json:"r,omitempty"`
	Sequence  uint64 `json:"s,omitempty"`
}

// Years that a page token's time may lie in.
var earliest, latest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// questionOf is what tells questions apart whose answers are paged.
func questionOf(kind string, filter proto.Message) (string, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(filter)
	if err != nil {
		return "", fmt.Errorf("encode filter: %w", err)
	}
	sum := sha256.Sum256(append([]byte(kind+"\x00"), body...))
	return hex.EncodeToString(sum[:12]), nil
}

func (t token) encode() string {
	body, err := json.Marshal(t)
	if err != nil {
		return "" // Text and numbers can always be encoded.
	}
	return base64.RawURLEncoding.EncodeToString(body)
}

// decode reads a page token of the question. Every error is errPageToken.
func decode(text, question string) (token, error) {
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return token{}, errPageToken
	}
	var t token
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&t); err != nil {
		return token{}, errPageToken
	}
	if _, err := d.Token(); err != io.EOF {
		return token{}, errPageToken
	}
	if t.Question != question {
		return token{}, errPageToken
	}
	return t, nil
}

// position is where the next page of releases begins.
func (t token) position() (*ledger.Position, error) {
	at := time.UnixMicro(t.Requested).UTC()
	if !procedure.ValidRelease(t.Release) || at.Before(earliest) || at.After(latest) || t.Sequence != 0 {
		return nil, errPageToken
	}
	return &ledger.Position{Requested: at, Release: t.Release}, nil
}

// before is the sequence behind which the next page of refusals begins.
func (t token) before() (uint64, error) {
	if t.Sequence == 0 || t.Sequence > 1<<62 || t.Release != "" || t.Requested != 0 {
		return 0, errPageToken
	}
	return t.Sequence, nil
}
