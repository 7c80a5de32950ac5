package gitrepo

import (
	"bytes"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/storage/memory"

	"github.com/blackdice/shipwarden/internal/shaketest"
)

// FuzzAnswer has a server send whatever it likes: what is taken in is bounded, and what is read of
// it is there.
func FuzzAnswer(f *testing.F) {
	m := &making{objects: newObjects(), made: memory.NewStorage()}
	tree, _, err := m.folder(plumbing.ZeroHash, map[string][]byte{"a/limits.yaml": []byte("limits: 1\n"), "b": []byte("b")}, "")
	if err != nil {
		f.Fatal(err)
	}
	commit, err := m.keep(&object.Commit{Message: "begin\n", TreeHash: tree})
	if err != nil {
		f.Fatal(err)
	}
	pack, err := m.pack()
	if err != nil {
		f.Fatal(err)
	}
	var answer bytes.Buffer
	lines := pktline.NewEncoder(&answer)
	if err := lines.Encodef("shallow %s\n", commit); err != nil {
		f.Fatal(err)
	}
	_ = lines.Flush()
	_ = lines.EncodeString("NAK\n")
	if _, err := sideband.NewMuxer(sideband.Sideband64k, &answer).WriteChannel(sideband.PackData, pack); err != nil {
		f.Fatal(err)
	}
	_ = lines.Flush()
	shaketest.Add(f, answer.Bytes())
	f.Fuzz(func(t *testing.T, answer []byte) {
		const limit = 1 << 20
		o := newObjects()
		if err := o.take(commit, answer, 1, limit); err != nil {
			return
		}
		total := int64(0)
		for _, kept := range o.Objects {
			total += kept.Size()
		}
		if total > o.size || o.size > limit {
			t.Fatalf("%d bytes are kept, counted were %d", total, o.size)
		}
		c, err := o.commit(commit)
		if err != nil {
			return
		}
		_ = o.walk(c.TreeHash, "", func(path string, e object.TreeEntry) error {
			_, err := o.file(e, path)
			return err
		})
	})
}

// FuzzAdvertised has a server say whatever it likes of its branches.
func FuzzAdvertised(f *testing.F) {
	var refs bytes.Buffer
	lines := pktline.NewEncoder(&refs)
	_ = lines.Encodef("%040d refs/heads/main\x00report-status side-band-64k shallow object-format=sha1\n", 1)
	_ = lines.Encodef("%040d refs/heads/other\n", 2)
	_ = lines.Flush()
	shaketest.Add(f, refs.Bytes())
	f.Fuzz(func(t *testing.T, said []byte) {
		refs, err := advertised(bytes.NewReader(said))
		if err == nil && refs == nil {
			t.Fatal("neither refs nor an error")
		}
	})
}

// FuzzTrailer has somebody write whatever he likes into a message.
func FuzzTrailer(f *testing.F) {
	f.Add("Place it\n\nwhy\n\nShipwarden-Key: r/0/1\nShipwarden-Target: shop\n")
	f.Fuzz(func(t *testing.T, message string) {
		if v := (Commit{Message: message}).Trailer("Shipwarden-Key"); bytes.ContainsRune([]byte(v), '\n') {
			t.Fatalf("more than one line: %q", v)
		}
	})
}

// FuzzWhatIsSigned has a commit, or a file of signers, be whatever it likes: of what a signature is
// made over nothing is left out but the signature.
func FuzzWhatIsSigned(f *testing.F) {
	const commit = "tree 0\nparent 1\ncommitter Ann <a> 1 +0000\ngpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n\nby Ann\n\nMore: of it\n"
	shaketest.Add(f, commit)
	shaketest.Add(f, `ann namespaces="git",valid-after="20260101Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0vN8hsnP0YwZ8rrVxbMbbUjkL4Qx3k5sQ1kzJ3sQm4 ann`)
	if got, err := withoutSignature([]byte(commit)); err != nil || string(got) != "tree 0\nparent 1\ncommitter Ann <a> 1 +0000\n\nby Ann\n\nMore: of it\n" {
		f.Fatalf("%q, %v", got, err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := signersIn(text); err == nil && len(got.all) == 0 {
			t.Error("nobody may sign, and everybody else neither")
		}
		got, err := withoutSignature([]byte(text))
		if err != nil {
			return
		}
		_, message, _ := bytes.Cut([]byte(text), []byte("\n\n"))
		if bytes.Contains(append([]byte("\n"), got[:len(got)-len(message)]...), []byte("\n"+header)) || !bytes.HasSuffix(got, append([]byte("\n"), message...)) {
			t.Errorf("of %q is signed %q", text, got)
		}
	})
}
