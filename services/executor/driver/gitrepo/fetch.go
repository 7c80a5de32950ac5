package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

const (
	// firstDepth is how many commits are fetched at first, and deeper how many times as many when
	// they do not do.
	firstDepth = 16
	deeper     = 16
)

// Head is the branch as it is now. It goes on asking until ctx ends. Errors wrap
// ErrUnavailable, ErrRefused, ErrNoBranch or ErrTooLarge.
func (r *Repo) Head(ctx context.Context) (*Snapshot, error) {
	done, err := r.take(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var s *Snapshot
	err = r.patiently(ctx, func(ctx context.Context) error {
		id, err := r.fetch(ctx, 0)
		if err != nil {
			return err
		}
		commit, err := r.objects.commit(id)
		if err == nil {
			s = &Snapshot{repo: r, objects: r.objects, head: commit, tree: commit.TreeHash}
		}
		return err
	})
	return s, err
}

// fetch brings the head of the branch, and depth commits of it at least; 0 for what is there.
// What is there is used, unless the server does not know it any more.
func (r *Repo) fetch(ctx context.Context, depth int) (plumbing.Hash, error) {
	if r.objects == nil {
		r.objects = newObjects()
	}
	if r.objects.tip.IsZero() {
		depth = max(depth, firstDepth)
	}
	anew := r.objects.tip.IsZero()
	id, err := r.exchange(ctx, r.objects, depth)
	if err == nil || anew || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNoBranch) {
		return id, err
	}
	// The branch was rewritten, or there is more of it by now than is taken: from the beginning.
	next := newObjects()
	if id, err = r.exchange(ctx, next, max(depth, firstDepth)); err == nil {
		r.objects = next
	}
	return id, err
}

// exchange has one conversation.
func (r *Repo) exchange(ctx context.Context, o *objects, depth int) (plumbing.Hash, error) {
	var id plumbing.Hash
	deepens := depth > 0
	answer, _, err := r.wire.talk(ctx, uploadPack, r.bytes, func(refs *packp.AdvRefs) ([]byte, error) {
		id = refs.References[r.branch.String()]
		switch {
		case id.IsZero():
			return nil, ErrNoBranch
		case id == o.tip && !deepens:
			return nil, nil
		case deepens && !refs.Capabilities.Supports(capability.Shallow):
			return nil, fmt.Errorf("%w: it sends no part of a history (shallow)", ErrRefused)
		}
		return request(refs, id, o, depth)
	})
	if err != nil || answer == nil {
		return id, err
	}
	return id, o.take(id, answer, depth, r.bytes)
}

// request asks for a commit, and what it needs that is not there.
func request(refs *packp.AdvRefs, id plumbing.Hash, o *objects, depth int) ([]byte, error) {
	var out bytes.Buffer
	e := pktline.NewEncoder(&out)
	want := []string{"agent=" + agent}
	for _, c := range []capability.Capability{capability.Sideband64k, capability.OFSDelta, capability.NoProgress, capability.Shallow} {
		if refs.Capabilities.Supports(c) {
			want = append(want, c.String())
		}
	}
	if !refs.Capabilities.Supports(capability.Sideband64k) {
		return nil, fmt.Errorf("%w: it does not know side-band-64k", ErrRefused)
	}
	errs := []error{e.Encodef("want %s %s\n", id, strings.Join(want, " "))}
	for at := range o.edge {
		errs = append(errs, e.Encodef("shallow %s\n", at))
	}
	if depth > 0 {
		errs = append(errs, e.Encodef("deepen %d\n", depth))
	}
	errs = append(errs, e.Flush())
	if !o.tip.IsZero() {
		errs = append(errs, e.Encodef("have %s\n", o.tip))
	}
	errs = append(errs, e.EncodeString("done\n"))
	return out.Bytes(), errors.Join(errs...)
}

// take takes an answer in.
func (o *objects) take(id plumbing.Hash, answer []byte, depth int, limit int64) error {
	in := bytes.NewReader(answer)
	edge := make(map[plumbing.Hash]bool, len(o.edge))
	for at := range o.edge {
		edge[at] = true
	}
	if depth > 0 {
		if err := edges(in, edge); err != nil {
			return err
		}
	}
	lines := pktline.NewScanner(in)
	if !lines.Scan() {
		return spoken(lines.Err())
	}
	if line := lines.Bytes(); !bytes.HasPrefix(line, []byte("NAK")) && !bytes.HasPrefix(line, []byte("ACK ")) {
		return spoken(nil)
	}
	pack, err := io.ReadAll(&bounded{Reader: sideband.NewDemuxer(sideband.Sideband64k, in), left: limit})
	if err != nil {
		return spoken(err)
	}
	if err := o.add(pack, limit); err != nil {
		return err
	}
	o.tip, o.edge = id, edge
	o.depth = max(o.depth, depth)
	return nil
}

// edges reads where the part of the history ends that is sent.
func edges(in io.Reader, edge map[plumbing.Hash]bool) error {
	lines := pktline.NewScanner(in)
	for lines.Scan() {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		switch kind, id, _ := strings.Cut(line, " "); {
		case line == "":
			return nil
		case kind == "shallow" && plumbing.IsHash(id):
			edge[plumbing.NewHash(id)] = true
		case kind == "unshallow" && plumbing.IsHash(id):
			delete(edge, plumbing.NewHash(id))
		default:
			return spoken(nil)
		}
	}
	return spoken(lines.Err())
}

// spoken says that an answer is none, and what the server said instead.
func spoken(err error) error {
	var said *pktline.ErrorLine
	switch {
	case errors.As(err, &said):
		return fmt.Errorf("%w: %s", ErrRefused, words(said.Text))
	case errors.Is(err, ErrTooLarge):
		return err
	case err == nil || errors.Is(err, io.ErrUnexpectedEOF):
		// It was cut off, and may come whole the next time.
		return fmt.Errorf("%w: its answer is not whole", ErrUnavailable)
	}
	return fmt.Errorf("%w: its answer cannot be read", ErrRefused)
}

// deepen brings older commits. The error wraps ErrTooOld where as many as are looked through are
// there.
func (r *Repo) deepen(ctx context.Context, o *objects) error {
	if o.depth >= r.commits {
		return fmt.Errorf("repository %s: %w: the newest %d are looked through (max_commits)", r, ErrTooOld, r.commits)
	}
	// What was fetched since without a depth is counted as well: the edge is no farther away than
	// there are commits.
	depth := min(max(o.depth, len(o.Commits))*deeper, r.commits)
	return r.patiently(ctx, func(ctx context.Context) error {
		// From the head that the branch has now: a server need not send what no branch is at.
		_, err := r.exchange(ctx, o, depth)
		return err
	})
}
