package changerecord

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// ErrKept says that an answer that was kept is not one about this rule and request, or
// cannot be read.
var ErrKept = errors.New("the answer that was kept is none about this change record")

// Again judges a request's change record by one rule from an answer that was kept, for a
// start at that time; nil where none was. It asks nobody (N-01). Not known is false where
// that does not decide: nothing was kept, or, by an older release, not where what is in it.
// The error wraps ErrKept.
func Again(rule *policyv1.ChangeRecordRule, request *releasev1.Request, document []byte, at time.Time) (result Result, known bool, err error) {
	out, asks := named(rule, request)
	if !asks || document == nil {
		return out, !asks && out.Unknown == nil, nil
	}
	var k kept
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&k); err != nil || decoder.More() {
		return out, false, fmt.Errorf("%w: it is no JSON of that form", ErrKept)
	}
	if k.Connector != rule.GetConnector() || k.Asked != request.GetChangeRecord().GetId() {
		return out, false, fmt.Errorf("%w: it is of %q about %q", ErrKept, k.Connector, k.Asked)
	}
	if k.Fields == nil {
		return out, false, nil
	}
	answer := Answer{Document: document}
	switch k.Status {
	case http.StatusNotFound:
	case http.StatusOK:
		fields := &configv1.RecordFields{
			Id: k.Fields["id"], State: k.Fields["state"], Service: k.Fields["service"], WindowStart: k.Fields["window_start"], WindowEnd: k.Fields["window_end"],
		}
		if answer.Reading, err = read(fields, k.Answer); err != nil {
			return out, false, fmt.Errorf("%w: %w", ErrKept, err)
		}
	default:
		return out, false, fmt.Errorf("%w: HTTP %d is no answer", ErrKept, k.Status)
	}
	return out.judged(request, answer, at), true, nil
}
