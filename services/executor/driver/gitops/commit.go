package gitops

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
)

// write makes the commit: the files that change, and the record.
func (d *Driver) write(ctx context.Context, s state, n note, c *change) error {
	n.Parent = s.Commit().ID
	w := gitrepo.Write{}
	if s.sum != n.Sum {
		w.Files = make(map[string][]byte)
		for name := range s.files {
			w.Files[d.path+"/"+name] = nil
		}
		for name, text := range c.files {
			if text == nil {
				text = []byte{} // An empty file, and not one to remove.
			}
			w.Files[d.path+"/"+name] = text
		}
		maps.DeleteFunc(w.Files, func(path string, text []byte) bool {
			is, there := s.files[strings.TrimPrefix(path, d.path+"/")]
			return there && text != nil && string(is) == string(text)
		})
	}
	var err error
	if w.Message, err = d.message(s, n, c); err != nil {
		return err
	}
	_, err = s.Write(ctx, w)
	return err
}

// message says what a commit is for.
func (d *Driver) message(s state, n note, c *change) (gitrepo.Message, error) {
	text, err := n.text()
	if err != nil {
		return gitrepo.Message{}, err
	}
	m := gitrepo.Message{Trailers: []gitrepo.Trailer{
		{Name: "Shipwarden-Key", Value: string(n.Key)}, {Name: "Shipwarden-Fence", Value: n.String()}, {Name: Trailer, Value: text},
	}}
	switch {
	case c == nil:
		m.Subject = fmt.Sprintf("Seal target %s", d.target)
		m.Body = "An attempt that has not begun is kept from beginning. No file changes."
	case s.sum == n.Sum:
		m.Subject = fmt.Sprintf("Note who has target %s", d.target)
		m.Body = "The files are there already. No file changes."
	case c.rollback:
		m.Subject = fmt.Sprintf("Take back %s on target %s", printable(version(c.plan.Version, c.plan.Artifact.Digest)), d.target)
		m.Body = fmt.Sprintf("%s has again what it had in commit %s: %s.", d.path, c.from, c.digest)
	default:
		m.Subject = fmt.Sprintf("Release %s to target %s", printable(version(c.plan.Version, c.digest)), d.target)
		m.Body = fmt.Sprintf("Artifact %s, %s.", printable(c.plan.Artifact.Name), c.digest)
	}
	if n.Key == "" { // Sealed before anything ever began.
		m.Trailers = m.Trailers[2:]
	}
	return m, nil
}

// version is what a release is called in the subject of a commit.
func version(version, digest string) string {
	if version == "" {
		return digest
	}
	return version[:min(len(version), 64)]
}
