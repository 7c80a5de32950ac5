package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/blackdice/shipwarden/internal/dirlock"
	"github.com/blackdice/shipwarden/internal/service"
)

var (
	// ErrNobody means that nobody is logged in with these settings.
	ErrNobody = errors.New("not logged in: run `shipwarden login`")
	// ErrOver means that the provider gives no new token for the old login.
	ErrOver = errors.New("the login is over: run `shipwarden login` again")
	// ErrProvider means that the provider cannot be used, or said no.
	ErrProvider = errors.New("identity provider")
	// ErrDenied means that the person, or the provider, has denied the login.
	ErrDenied = errors.New("the login was denied")
	// ErrTooLate means that nobody has entered the code in time.
	ErrTooLate = errors.New("nobody entered the code in time")
)

// early is how long before its end an ID token is replaced.
const early = 30 * time.Second

// Session is the login of one person with one client of one provider. It is safe for
// concurrent use, and so is its file for several processes.
type Session struct {
	// Issuer and Client are the provider's address and the client's id there.
	Issuer, Client string
	// CAFile holds certificates that the provider's must be signed by; empty for those
	// of the system.
	CAFile string
	// Folder is where the file lies.
	Folder string
	// Now is the clock.
	Now func() time.Time

	mu   sync.Mutex
	kept *kept
}

// kept is what lies in the file. All of it but the first two is secret.
type kept struct {
	Issuer  string `json:"issuer"`
	Client  string `json:"client"`
	ID      string `json:"id_token"`
	Refresh string `json:"refresh_token,omitempty"`
}

// File is where the login is kept.
func (s *Session) File() string { return filepath.Join(s.Folder, "login.json") }

// Token returns an ID token that is good for a while, refreshed where it has to be. The
// error wraps ErrNobody, ErrOver or ErrProvider.
func (s *Session) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		found, err := s.read()
		if err != nil {
			return "", err
		}
		s.kept = found
	}
	if s.fresh(s.kept) {
		return s.kept.ID, nil
	}
	// A refresh token is good for once: of several processes one asks, and the others
	// take what it got. The provider's time to answer bounds how long they wait.
	lock, err := dirlock.Wait(s.Folder)
	if err != nil {
		return "", fmt.Errorf("refresh the login: %w", err)
	}
	defer lock.Release()
	if s.kept, err = s.read(); err != nil {
		return "", err
	}
	if s.fresh(s.kept) {
		return s.kept.ID, nil
	}
	renewed, err := s.renew(ctx, s.kept)
	if err != nil {
		return "", err
	}
	if err := s.write(renewed); err != nil {
		return "", err
	}
	s.kept = renewed
	return renewed.ID, nil
}

func (s *Session) fresh(k *kept) bool { return s.Now().Add(early).Before(end(k.ID)) }

// read returns what is in the file. Of another issuer or client it is nobody's here.
func (s *Session) read() (*kept, error) {
	secret, err := service.ReadSecret(s.File())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w (at %s)", ErrNobody, s.Issuer)
	}
	if err != nil {
		return nil, fmt.Errorf("read the login: %w", err)
	}
	k := &kept{}
	if json.Unmarshal([]byte(secret.Reveal()), k) != nil || k.Issuer != s.Issuer || k.Client != s.Client {
		return nil, fmt.Errorf("%w (at %s, as client %s)", ErrNobody, s.Issuer, s.Client)
	}
	return k, nil
}

// write replaces the file: it is there whole or not at all, and never open to others.
func (s *Session) write(k *kept) error {
	data, err := json.Marshal(k) //nolint:gosec // It is what the file is for, and it is nobody else's.
	if err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	if err := os.MkdirAll(s.Folder, 0o700); err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	f, err := os.CreateTemp(s.Folder, ".login-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep the login: %w", err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), s.File())
	}
	if err != nil {
		return fmt.Errorf("keep the login: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// end is when an ID token ends, by what it says; the zero time where it says nothing.
// Whether it is true is for the services to judge.
func end(token string) time.Time {
	var says struct {
		Expires int64 `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &says) != nil || says.Expires <= 0 {
		return time.Time{}
	}
	return time.Unix(says.Expires, 0)
}
