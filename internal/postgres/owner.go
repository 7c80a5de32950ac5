package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// owner is the system user who runs initdb and postgres.
type owner struct {
	name     string
	uid, gid uint32
	groups   []uint32
	// switched is true when that is not the user of this process.
	switched bool
}

// pickOwner returns the current user, or when that is root the first existing
// one of postgres and nobody.
func pickOwner() (owner, error) {
	//nolint:gosec // user ids are not negative on the supported systems.
	self := owner{name: strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}
	groups, err := os.Getgroups()
	if err != nil {
		return owner{}, fmt.Errorf("list own groups: %w", err)
	}
	for _, gid := range groups {
		self.groups = append(self.groups, uint32(gid)) //nolint:gosec // as above.
	}
	if self.uid != 0 {
		return self, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			continue
		}
		return owner{name: name, uid: uint32(uid), gid: uint32(gid), switched: true}, nil
	}
	return owner{}, errors.New("postgres refuses to run as root, and this machine has neither a user postgres nor nobody")
}

// credential is what the child process runs as; nil means as this process.
func (o owner) credential() *syscall.Credential {
	if !o.switched {
		return nil
	}
	return &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: []uint32{}}
}

// own gives path to the owner.
func (o owner) own(path string) error {
	if !o.switched {
		return nil
	}
	if err := os.Chown(path, int(o.uid), int(o.gid)); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, o.name, err)
	}
	return nil
}

// CheckDir reports whether a cluster below dir could be run from this process:
// it returns an error that wraps ErrUnreachable and names the closed directory
// when the user who runs postgres cannot get there. Components of dir that do
// not exist yet are not looked at.
func CheckDir(dir string) error {
	who, err := pickOwner()
	if err != nil {
		return err
	}
	return who.checkReach(dir)
}

// checkReach looks for the right to enter in every existing directory from the
// root down to dir.
func (o owner) checkReach(dir string) error {
	if !o.switched {
		return nil // This process would have failed itself, with a plain error.
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("make %s absolute: %w", dir, err)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("look at %s: %w", path, err)
		case !o.mayEnter(info):
			return fmt.Errorf("%w: user %s may not enter %s; choose a place outside it, such as /var/lib/shipwarden",
				ErrUnreachable, o.name, path)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return nil
		}
		path = parent
	}
}

// mayEnter applies the permission bits as the kernel does: the first class that
// matches counts, even when a later one would allow more.
func (o owner) mayEnter(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case stat.Uid == o.uid:
		return mode&0o100 != 0
	case stat.Gid == o.gid || slices.Contains(o.groups, stat.Gid):
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
