package gitrepo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// objects are what was fetched. The newest commits are there with all of their files; beyond the
// edge is what was not fetched yet.
type objects struct {
	*memory.Storage
	// edge are commits whose parents are not there.
	edge map[plumbing.Hash]bool
	// tip is the newest commit that was fetched.
	tip plumbing.Hash
	// depth is how many commits were asked for; 0 for all of them.
	depth int
	// size is what all objects measure, unpacked, in bytes.
	size int64
}

func newObjects() *objects {
	return &objects{Storage: memory.NewStorage(), edge: make(map[plumbing.Hash]bool)}
}

// add unpacks what a server has sent, and no more than limit bytes in all.
func (o *objects) add(pack []byte, limit int64) error {
	size, err := measure(pack, limit-o.size)
	if err != nil {
		return err
	}
	err = packfile.UpdateObjectStorage(o.Storage, bytes.NewReader(pack))
	if err != nil && !errors.Is(err, packfile.ErrEmptyPackfile) {
		return fmt.Errorf("%w: what it sent cannot be unpacked", ErrRefused)
	}
	o.size += size
	return nil
}

// overhead is what an object takes beside its content, as far as it is counted, in bytes.
const overhead = 128

// measure adds up what the objects of a pack are, unpacked, before anybody unpacks them: a few
// bytes can be gigabytes. It is as little code as that needs; what it does not understand is
// refused.
func measure(pack []byte, limit int64) (int64, error) {
	scanner := packfile.NewScanner(bytes.NewReader(pack))
	_, count, err := scanner.Header()
	if err != nil {
		return 0, fmt.Errorf("%w: what it sent is no pack", ErrRefused)
	}
	total := int64(0)
	count64 := int64(count)
	for range count64 {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return 0, fmt.Errorf("%w: what it sent cannot be unpacked", ErrRefused)
		}
		if total += header.Length + overhead; header.Length < 0 || total > limit {
			return 0, fmt.Errorf("%w: its objects have more than %d bytes", ErrTooLarge, limit)
		}
		begin := &start{}
		if _, _, err := scanner.NextObject(begin); err != nil {
			return 0, fmt.Errorf("%w: what it sent cannot be unpacked", ErrRefused)
		}
		if !header.Type.IsDelta() {
			continue
		}
		_, n := binary.Uvarint(begin.bytes) // What it is made from.
		if n <= 0 {
			return 0, fmt.Errorf("%w: what it sent cannot be unpacked", ErrRefused)
		}
		made, n := binary.Uvarint(begin.bytes[n:])
		if n <= 0 || made > uint64(max(limit, 0)) || total+int64(made) > limit { //nolint:gosec // It is below the limit.
			return 0, fmt.Errorf("%w: its objects have more than %d bytes", ErrTooLarge, limit)
		}
		total += int64(made) //nolint:gosec // As above.
	}
	return total, nil
}

// start keeps the first bytes of what is written.
type start struct{ bytes []byte }

func (s *start) Write(p []byte) (int, error) {
	const keep = 2 * binary.MaxVarintLen64
	s.bytes = append(s.bytes, p[:min(len(p), keep-len(s.bytes))]...)
	return len(p), nil
}

// commit reads a commit.
func (o *objects) commit(id plumbing.Hash) (*object.Commit, error) {
	c, err := object.GetCommit(o.Storage, id)
	if err != nil {
		return nil, fmt.Errorf("%w: commit %s is not in what it sent", ErrRefused, id)
	}
	return c, nil
}

// blob reads a file's content.
func (o *objects) blob(id plumbing.Hash) ([]byte, error) {
	blob, err := object.GetBlob(o.Storage, id)
	if err != nil {
		return nil, fmt.Errorf("%w: file %s is not in what it sent", ErrRefused, id)
	}
	in, err := blob.Reader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return io.ReadAll(in)
}
