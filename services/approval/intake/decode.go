package intake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/shape"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// Media types of a request. A request without one is taken for JSON where it
// begins like JSON, so that a plain `nats pub` works.
const (
	mediaJSON     = "application/json"
	mediaProtobuf = "application/protobuf"
)

// MaxRequest is the largest content of a request in bytes, its evidence not counted:
// it becomes one event, beside what the event says itself. The stream REQUESTS bounds
// the message as it is sent.
const MaxRequest = 48 << 10

var token = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// decode reads the body as the header says, and returns what is wrong with it as such.
// What cannot be read at all is one violation, and no request; of JSON that is no
// request, everything is named that makes it none, and the request is what could be
// read of it.
func decode(contentType string, body []byte) (*releasev1.Request, []*releasev1.Violation) {
	r := &releasev1.Request{}
	unreadable := func(rule, message string) (*releasev1.Request, []*releasev1.Violation) {
		return nil, []*releasev1.Violation{violation("", rule, message)}
	}
	media, bad := mediaOf(contentType, body)
	if bad != nil {
		return nil, []*releasev1.Violation{bad}
	}
	switch media {
	case mediaJSON:
		if !utf8.Valid(body) {
			return unreadable("body.utf8", "the request is not valid UTF-8")
		}
		if err := protojson.Unmarshal(body, r); err != nil {
			r = &releasev1.Request{}
			faults, broken := walk(body, r)
			switch {
			case broken != nil:
				return unreadable("body.json", "the request is not JSON: "+broken.Error())
			case len(faults) == 0: // Nothing that is known; the library knows better.
				return unreadable("body.json", clean(err))
			}
			return r, faults
		}
	case mediaProtobuf, "application/x-protobuf":
		if err := proto.Unmarshal(body, r); err != nil {
			return unreadable("body.protobuf", clean(err))
		}
	default:
		return unreadable("content_type", "the header Content-Type must be "+mediaJSON+" or "+mediaProtobuf+", not "+media)
	}
	return r, nil
}

// mediaOf is the form of a body, by the header or by how it begins.
func mediaOf(contentType string, body []byte) (string, *releasev1.Violation) {
	switch {
	case len(body) == 0:
		return "", violation("", "body.empty", "the request is empty")
	case contentType != "":
		media, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return "", violation("", "content_type", "the header Content-Type cannot be read: "+err.Error())
		}
		return media, nil
	case strings.HasPrefix(strings.TrimSpace(string(body[:min(len(body), 64)])), "{"):
		return mediaJSON, nil
	}
	return mediaProtobuf, nil
}

// clean takes the package's own prefix off an error of the protobuf libraries,
// which tells a requester nothing and varies on purpose.
func clean(err error) string {
	s := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	s = strings.TrimPrefix(s, "proto: ")
	return strings.TrimSpace(strings.TrimPrefix(s, "syntax error "))
}

// malformed returns everything that is wrong with the form of a request, all of it at
// once, each with the path of its field (PD-0.3).
func malformed(r *releasev1.Request) []*releasev1.Violation {
	if size := proto.Size(r) - evidenceSize(r); size > MaxRequest {
		return []*releasev1.Violation{violation("", "request.size", fmt.Sprintf(
			"has %d bytes beside its evidence, more than %d", size, MaxRequest))}
	}
	found, err := shape.Check(r)
	if err != nil {
		// A rule could not be applied: to a time, for instance, that no calendar holds.
		return []*releasev1.Violation{violation("", "request.invalid", clean(err))}
	}
	if len(found) == 0 {
		// A time or a duration can be within its bounds and still be none. Whoever tells
		// of the release later could not write it.
		if _, err := protojson.Marshal(r); err != nil {
			return []*releasev1.Violation{violation("", "request.invalid", clean(err))}
		}
		return nil
	}
	var out []*releasev1.Violation
	for _, v := range found {
		out = append(out, violation(v.Field, v.Rule, v.Message))
	}
	return out
}

// beyond leaves out what follows from what is missing: that nothing is no environment
// of the procedure says nothing new.
func beyond(said, more []*releasev1.Violation) []*releasev1.Violation {
	return slices.DeleteFunc(more, func(v *releasev1.Violation) bool {
		return v.GetField() != "" && slices.ContainsFunc(said, func(s *releasev1.Violation) bool {
			return s.GetRule() == shape.Required && s.GetField() == v.GetField()
		})
	})
}

func evidenceSize(r *releasev1.Request) int {
	size := 0
	for _, e := range r.GetEvidence() {
		size += len(e)
	}
	return size
}

func violation(field, rule, message string) *releasev1.Violation {
	return &releasev1.Violation{Field: field, Rule: rule, Message: message}
}

// answerSubject is where the answer to a request goes. It is made of where the
// request came from and of what it calls itself, never of anything that the
// requester may choose freely; where it has no usable name, the digest of its body
// stands in.
func answerSubject(subject, key string, body []byte) string {
	environment, service := "unknown", "unknown"
	if parts := strings.Split(subject, "."); len(parts) == 3 && token.MatchString(parts[1]) && token.MatchString(parts[2]) {
		environment, service = parts[1], parts[2]
	}
	if !token.MatchString(key) {
		key = bodyDigest(body)
	}
	return strings.Join([]string{"answer", environment, service, key}, ".")
}

func bodyDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
