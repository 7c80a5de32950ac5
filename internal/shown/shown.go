// Package shown writes down what approvers are shown (D-1.6): the approval service keeps
// it as evidence, and the command line compares its digest with what it did show, so that
// nobody signs for something else than they saw.
package shown

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// Document is what is shown, as a document that is kept and can be read without a
// program of ours, and its media type. It is the same for everybody and at every
// moment: whether the caller may approve is left out, and so is what changes by the clock
// alone: what is missing, which follows from the approvals and of which one may expire,
// who is on call, and what would hold a start.
func Document(shown *approvalv1.Pending) (document []byte, mediaType string, err error) {
	p := proto.CloneOf(shown)
	p.Missing, p.MayApprove, p.MayNotReason, p.ShownDigest = nil, false, "", ""
	p.Holds, p.EarliestStart, p.OnCall = nil, nil, nil
	// The library's own form varies its spaces on purpose, so it is written once more.
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p)
	if err != nil {
		// A time that JSON cannot say must not keep anybody from deciding.
		document, err = proto.MarshalOptions{Deterministic: true}.Marshal(p)
		return document, "application/protobuf", err
	}
	var fields any
	decoder := json.NewDecoder(bytes.NewReader(loose))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, "", fmt.Errorf("write what is shown of %s: %w", shown.GetRelease(), err)
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(fields); err != nil {
		return nil, "", fmt.Errorf("write what is shown of %s: %w", shown.GetRelease(), err)
	}
	return out.Bytes(), "application/json", nil
}
