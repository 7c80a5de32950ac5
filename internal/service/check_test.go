package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

func TestABusThatCannotBeReachedByAnybodyIsNamed(t *testing.T) {
	for _, test := range []struct {
		name  string
		cfg   *configv1.Nats
		wants []string
	}{
		{"an address", &configv1.Nats{Urls: []string{"tls://nats-0:4222", "nats://127.0.0.1:4222", "nats-0:4222", "nats://nats-0"}}, nil},
		{"a web page", &configv1.Nats{Urls: []string{"tls://nats-0:4222", "http://nats-1:4222"}}, []string{`urls[1]: address cannot be used: the scheme "http"`}},
		{"nobody", &configv1.Nats{Urls: []string{"nats://"}}, []string{"urls[0]: "}},
		{"a secret that is not there", &configv1.Nats{Urls: []string{"nats://a:1"}, User: "me", PasswordFile: "/none"}, []string{"password_file: "}},
		{"everything", &configv1.Nats{Urls: []string{"ftp://me:secret@a"}, NkeySeedFile: "/none", Tls: &configv1.Tls{CaFile: "/none"}}, []string{"urls[0]: ", "nkey_seed_file: ", "tls: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			named(t, CheckNATS(test.cfg), test.wants...)
		})
	}
	if _, err := ConnectNATS(t.Context(), "test", &configv1.Nats{Urls: []string{"http://127.0.0.1:4222"}}); !errors.Is(err, ErrAddress) {
		t.Errorf("a start takes it: %v", err)
	}
}

func TestWhatCannotBeUsedOnThisMachineIsNamed(t *testing.T) {
	dir := t.TempDir()
	plain, tool := filepath.Join(dir, "plain"), filepath.Join(dir, "tool")
	for path, mode := range map[string]os.FileMode{plain: 0o600, tool: 0o700} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		err  error
		want error
	}{
		{"an address", CheckListen("127.0.0.1:9090"), nil},
		{"every address", CheckListen(":0"), nil},
		{"no port", CheckListen("127.0.0.1"), ErrAddress},
		{"a port by name", CheckListen(":metrics"), ErrAddress},
		{"a port that is none", CheckListen(":70000"), ErrAddress},
		{"a folder", CheckFolder(dir), nil},
		{"no folder", CheckFolder(""), nil},
		{"a folder that is not there", CheckFolder(filepath.Join(dir, "none")), ErrFolder},
		{"a file for a folder", CheckFolder(plain), ErrFolder},
		{"a program", CheckExecutable(tool), nil},
		{"a program that is not there", CheckExecutable(filepath.Join(dir, "none")), ErrExecutable},
		{"a file for a program", CheckExecutable(plain), ErrExecutable},
		{"a folder for a program", CheckExecutable(dir), ErrExecutable},
	} {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, test.err, test.want)
		}
	}
	named(t, CheckRegistries([]*configv1.Registry{{}, {PasswordFile: "/none"}}), "registries[1].password_file: ")
}

// Each of several faults is named in full; an error that wraps two is one fault.
func TestAFieldIsPutBeforeEachFaultBelowIt(t *testing.T) {
	two := fmt.Errorf("url: %w: %w", ErrAddress, errors.New("because"))
	err := Below("common", Below("nats", errors.Join(two, errors.New("user: missing"))))
	want := "common.nats.url: " + ErrAddress.Error() + ": because\ncommon.nats.user: missing"
	if err.Error() != want || !errors.Is(err, ErrAddress) || Below("common", nil) != nil {
		t.Errorf("got %q, want %q", err, want)
	}
}

// named fails where an error does not begin its lines with these, and nothing else.
func named(t *testing.T, err error, wants ...string) {
	t.Helper()
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if len(lines) != len(wants) {
		t.Fatalf("got %v, want %v", err, wants)
	}
	for i, want := range wants {
		if !strings.HasPrefix(lines[i], want) || strings.Contains(lines[i], "secret@") {
			t.Errorf("got %q, want %q", lines[i], want)
		}
	}
}
