package gitrepo_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo"
	"github.com/blackdice/shipwarden/services/executor/driver/gitrepo/gitrepotest"
)

func TestTheBranchAsItWasAtACommit(t *testing.T) {
	t.Parallel()
	r := gitrepotest.New(t)
	first := r.Commit(t, "first", map[string]string{"a": "1", "b": "1"})
	var ids []string
	// More than are fetched at first.
	for i := range 20 {
		ids = append(ids, r.Commit(t, fmt.Sprintf("commit %d", i), map[string]string{"b": fmt.Sprint(i)}))
	}
	gone := r.Commit(t, "gone", map[string]string{"a": ""})
	last := r.Commit(t, "last", map[string]string{"c": "1"})
	elsewhere := r.CommitOn(t, "elsewhere", first, "elsewhere", map[string]string{"a": "2"})
	repo, err := gitrepo.New(r.Config(), gitrepo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	head, err := repo.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{first: "1", ids[3]: "3", ids[3][:12]: "3", ids[19]: "19", last: "19"} {
		at, there, err := head.At(t.Context(), id)
		if err != nil || !there {
			t.Fatalf("at %s: %t, %v", id, there, err)
		}
		if f, _, err := at.File(t.Context(), "b"); err != nil || string(f.Data) != want || !strings.HasPrefix(at.Commit().ID, id) {
			t.Errorf("at %s: %q, %v, want %q", id, f.Data, err, want)
		}
	}
	for _, id := range []string{"", "abc", strings.Repeat("0", 40), elsewhere} {
		if _, there, err := head.At(t.Context(), id); there || err != nil {
			t.Errorf("at %q: %t, %v", id, there, err)
		}
	}
	for path, want := range map[string]string{"a": gone, "b": ids[19], "c": last} {
		if got, err := head.Since(t.Context(), path); err != nil || got.ID != want {
			t.Errorf("%s is as it is since %s, %v, want %s", path, got.ID, err, want)
		}
	}
}
