package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

var (
	// ErrAddress means that an address cannot be listened on or connected to, whoever
	// is there.
	ErrAddress = errors.New("address cannot be used")
	// ErrFolder means that a folder is not there, or is none.
	ErrFolder = errors.New("no folder")
	// ErrExecutable means that a file cannot be executed.
	ErrExecutable = errors.New("cannot be executed")
)

// natsSchemes are those of the addresses of servers; without one it is nats.
var natsSchemes = []string{"nats", "tls", "ws", "wss"}

// CheckNATS says what is wrong with how the bus is to be reached, as far as that can be
// known without reaching it: addresses, files, and what excludes one another. The error
// names the fields.
func CheckNATS(cfg *configv1.Nats) error {
	ctx := context.Background() // Nothing here waits.
	_, identity := natsIdentity(ctx, cfg)
	_, secure := natsTLS(ctx, cfg.GetTls())
	return errors.Join(checkURLs(cfg), identity, InField("tls", secure))
}

// checkURLs refuses addresses at which no server can be: the client would try them for
// ever. The error does not repeat an address, which may hold a password.
func checkURLs(cfg *configv1.Nats) error {
	var wrong []error
	for i, text := range cfg.GetUrls() {
		if !strings.Contains(text, "://") {
			text = natsSchemes[0] + "://" + text
		}
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Hostname() == "":
			wrong = append(wrong, fmt.Errorf("urls[%d]: %w: write it as tls://nats-0:4222", i, ErrAddress))
		case !slices.Contains(natsSchemes, u.Scheme):
			wrong = append(wrong, fmt.Errorf("urls[%d]: %w: the scheme %q is none of %v", i, ErrAddress, u.Scheme, natsSchemes))
		}
	}
	return errors.Join(wrong...)
}

// CheckListen refuses what is no address to listen on, such as one without a port.
func CheckListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%w: %q is no port from 0 to 65535", ErrAddress, port)
	}
	return nil
}

// CheckFolder refuses a folder that is not there; none at all is no mistake.
func CheckFolder(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is a file", ErrFolder, path)
	}
	return nil
}

// CheckExecutable refuses a file that is not there or that nobody may execute.
func CheckExecutable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrExecutable, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return fmt.Errorf("%w: %s has mode %s", ErrExecutable, path, info.Mode())
	}
	return nil
}

// CheckRegistries reads the passwords of registries.
func CheckRegistries(registries []*configv1.Registry) error {
	var wrong []error
	for i, r := range registries {
		if path := r.GetPasswordFile(); path != "" {
			if _, err := ReadSecret(path); err != nil {
				wrong = append(wrong, fmt.Errorf("registries[%d].password_file: %w", i, err))
			}
		}
	}
	return errors.Join(wrong...)
}

// InField puts the field that is at fault before an error; nil stays nil.
func InField(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}

// Below puts a field before an error that begins with the name of one below it, or
// before each of those that errors.Join joined; nil stays nil.
func Below(field string, err error) error {
	if err == nil {
		return nil
	}
	var all []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	// An error that wraps several has something to say itself, and is not taken apart.
	if whole := errors.Join(all...); whole == nil || whole.Error() != err.Error() {
		return fmt.Errorf("%s.%w", field, err)
	}
	for i, e := range all {
		all[i] = Below(field, e)
	}
	return errors.Join(all...)
}
