package replay

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// evidence reads everything that an event names as kept evidence, wherever it does.
func (p *pass) evidence(ctx context.Context, e *releasev1.Event) error {
	var refs []*releasev1.EvidenceRef
	collect(e.ProtoReflect(), &refs)
	for _, ref := range refs {
		content, err := p.blob(ctx, ref.GetDigest())
		if errors.Is(err, errUnkept) {
			continue
		}
		if err != nil {
			return err
		}
		if int64(len(content)) != ref.GetSize() {
			return fmt.Errorf("%w %s: has %d bytes, the event says %d", errInput, ref.GetDigest(), len(content), ref.GetSize())
		}
	}
	return nil
}

// errUnkept says that an input was not kept when the decision was made, as its event says.
// What follows from it can only be taken; that is no difference.
var errUnkept = errors.New("it could not be kept as evidence when this was decided")

// blob reads what is stored under a digest, for the event in work.
func (p *pass) blob(ctx context.Context, digest string) ([]byte, error) {
	content, err := p.Replayer.blob(ctx, digest)
	if why, ok := p.unkept[digest]; ok && errors.Is(err, ErrMissing) {
		return nil, fmt.Errorf("%s: %w (%s)", digest, errUnkept, why)
	}
	return content, err
}

// collect finds the references in a message.
func collect(m protoreflect.Message, refs *[]*releasev1.EvidenceRef) {
	if ref, ok := m.Interface().(*releasev1.EvidenceRef); ok {
		*refs = append(*refs, ref)
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Kind() != protoreflect.MessageKind || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				collect(v.List().Get(i).Message(), refs)
			}
		default:
			collect(v.Message(), refs)
		}
		return true
	})
}
