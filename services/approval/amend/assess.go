package amend

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rogpeppe/go-internal/diff"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/policy"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
)

// maxDiff bounds a diff in bytes, below what one answer may have. Both documents are
// evidence, so that nobody depends on it.
const maxDiff = 512 << 10

// assess says what a document changes.
func assess(before, after *policy.Index, was, is []byte) *approvalv1.Assessment {
	a := &approvalv1.Assessment{
		BaseDigest: policy.Digest(was), Digest: policy.Digest(is),
		Loosened: policy.Loosened(before.Document(), after.Document()),
	}
	text := diff.Diff("in effect, version "+before.Document().GetVersion(), was, "proposed, version "+after.Document().GetVersion(), is)
	if len(text) > maxDiff {
		text, a.DiffCut = text[:bytes.LastIndexByte(text[:maxDiff], '\n')+1], true
	}
	a.Diff = string(bytes.ToValidUTF8(text, []byte("\uFFFD")))
	widened := policy.Widened(before, after)
	for _, person := range slices.Sorted(maps.Keys(widened)) {
		a.Widened = append(a.Widened, &approvalv1.Widening{Person: person, Rights: widened[person]})
	}
	return a
}

// write is an assessment or a comparison as evidence: the same bytes for the same one. The
// library's own form varies its spaces on purpose.
func write(a proto.Message) ([]byte, error) {
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", a.ProtoReflect().Descriptor().Name(), err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact(loose), "", "  "); err != nil {
		return nil, fmt.Errorf("write %s: %w", a.ProtoReflect().Descriptor().Name(), err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func compact(loose []byte) []byte {
	var out bytes.Buffer
	_ = json.Compact(&out, loose) // What the library wrote is JSON.
	return out.Bytes()
}

// assessment is one that was kept. There is none of what was activated without.
func (s *Server) assessment(ctx context.Context, digest string) (*approvalv1.Assessment, error) {
	content, err := s.Evidence.Get(ctx, digest)
	if err != nil {
		return nil, fmt.Errorf("read the assessment: %w", err)
	}
	a := &approvalv1.Assessment{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(content, a); err != nil {
		return nil, fmt.Errorf("read the assessment: %w", err)
	}
	return a, nil
}

// keep stores documents as evidence, before any event names them.
func keep(ctx context.Context, to Evidence, version string, document, trusted []byte, a *approvalv1.Assessment) error {
	if len(trusted) > 0 {
		if _, err := to.Put(ctx, "application/json", "sigstore trusted root", trusted); err != nil {
			return fmt.Errorf("store the trusted root: %w", err)
		}
	}
	if _, err := to.Put(ctx, "application/yaml", "procedure "+version, document); err != nil {
		return fmt.Errorf("store the procedure document: %w", err)
	}
	if a == nil {
		return nil
	}
	content, err := write(a)
	if err != nil {
		return err
	}
	if _, err := to.Put(ctx, "application/json", "assessment of procedure "+version, content); err != nil {
		return fmt.Errorf("store the assessment: %w", err)
	}
	return nil
}
