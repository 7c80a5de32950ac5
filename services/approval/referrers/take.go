package referrers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Annotations in which signing tools say of which predicate type a statement is: cosign on
// the layer of its tag, and on a manifest that holds a bundle. Nobody signs them.
const (
	typeOfLayer  = "predicateType"
	typeOfBundle = "dev.sigstore.bundle.predicateType"
)

// statements are those of one image, as they are read.
type statements struct {
	repository name.Repository
	wanted     []string
	options    []remote.Option
	content    map[string][]byte // by digest
}

// refer takes the statements of one referrer.
func (s *statements) refer(d v1.Descriptor) error {
	got, err := remote.Get(s.repository.Digest(d.Digest.String()), s.options...)
	if err != nil {
		return explain(err)
	}
	return s.take(got, "the referrer "+d.Digest.String())
}

// attached takes the statements that cosign keeps under a tag of the subject's digest, as it
// did before there were referrers: a manifest with a layer for each of them. A tag that is
// not there is one of no statement, and so is one that leads to the subject itself.
func (s *statements) attached(subject name.Digest) error {
	tag := strings.Replace(subject.DigestStr(), ":", "-", 1) + ".att"
	got, err := remote.Get(s.repository.Tag(tag), s.options...)
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return nil
	case err != nil:
		return explain(err)
	case got.Digest.String() == subject.DigestStr():
		return nil
	case !got.MediaType.IsImage():
		return fmt.Errorf("%w: what is under the tag %s is no manifest", ErrUnreachable, tag)
	}
	return s.take(got, "what is under the tag "+tag)
}

// take adds the statements that are layers of a manifest.
func (s *statements) take(got *remote.Descriptor, what string) error {
	manifest, err := v1.ParseManifest(strings.NewReader(string(got.Manifest)))
	if err != nil {
		return fmt.Errorf("%w: %s is no manifest", ErrUnreachable, what)
	}
	for _, layer := range manifest.Layers {
		if !statement(string(layer.MediaType)) || s.content[layer.Digest.String()] != nil {
			continue
		}
		if layer.Size > MaxSize {
			if s.other(layer.Annotations[typeOfLayer]) || s.other(manifest.Annotations[typeOfBundle]) {
				continue
			}
			return fmt.Errorf("%w: the statement %s has %d bytes, of at most %d", ErrBounds, layer.Digest, layer.Size, MaxSize)
		}
		if len(s.content) >= MaxStatements {
			return fmt.Errorf("%w: there are more than %d statements", ErrBounds, MaxStatements)
		}
		content, err := blob(s.repository.Digest(layer.Digest.String()), s.options)
		if err != nil {
			return err
		}
		s.content[layer.Digest.String()] = content
	}
	return nil
}

// other reports whether something says that it is of a predicate type which does not matter.
// Whoever could write that falsely could as well take the statement away.
func (s *statements) other(predicateType string) bool {
	return predicateType != "" && !slices.Contains(s.wanted, predicateType)
}
