// Package settings says where the services are and as whom they are called.
//
// A setting has one name everywhere: approval-url is the flag --approval-url, the
// variable SHIPWARDEN_APPROVAL_URL, and the key approval-url of a context file. The
// flag goes before the variable, the variable before the file. There is one context
// file: that of --context, else of SHIPWARDEN_CONFIG, else .shipwarden/cli.yaml in
// the working folder, which `shipwarden dev` writes, else
// ~/.config/shipwarden/config.yaml.
//
// Secrets are named by their files, never given.
package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Settings are where the services are and as whom they are called. An empty field
// is one that was not set.
type Settings struct {
	// ApprovalURL and RecorderURL are host:port, http://host:port for plain text,
	// or https://host:port for TLS.
	ApprovalURL string
	RecorderURL string
	// TokenFile holds the bearer token of the caller.
	TokenFile string
	// OIDCIssuer and OIDCClient are the identity provider and the client's id there with
	// which `shipwarden login` logs in, OIDCCAFile whom its certificate is signed by.
	OIDCIssuer string
	OIDCClient string
	OIDCCAFile string
	// CAFile, CertFile and KeyFile are PEM files for TLS, of the services and the bus.
	CAFile   string
	CertFile string
	KeyFile  string
	// NATSURL is the address of the bus, several separated by commas.
	NATSURL          string
	NATSUser         string
	NATSPasswordFile string
	NATSCreds        string
	// NATSInboxPrefix is the first part of the subjects on which replies are
	// received. Empty means that of every NATS client, _INBOX.
	NATSInboxPrefix string

	// Source is the context file that was read; empty without one.
	Source string
}

// Setting is one of them.
type Setting struct {
	// Name is the flag's name and the key in the file.
	Name string
	// Usage says in half a line what it is.
	Usage string
	// Field is where it is kept.
	Field func(*Settings) *string
	// file says that the value is a path, which in a context file is relative to it.
	file bool
	// url says that the value is an address.
	url bool
}

// Env is the name of the setting's environment variable.
func (s Setting) Env() string {
	return "SHIPWARDEN_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// All returns every setting, in the order of the help.
func All() []Setting {
	return []Setting{
		{Name: "approval-url", Usage: "approval service, host:port or https://host:port", Field: func(s *Settings) *string { return &s.ApprovalURL }, url: true},
		{Name: "recorder-url", Usage: "recorder, host:port or https://host:port", Field: func(s *Settings) *string { return &s.RecorderURL }, url: true},
		{Name: "token-file", Usage: "file with the bearer token of the caller", Field: func(s *Settings) *string { return &s.TokenFile }, file: true},
		{Name: "oidc-issuer", Usage: "OpenID Connect provider at which `login` logs in", Field: func(s *Settings) *string { return &s.OIDCIssuer }, url: true},
		{Name: "oidc-client", Usage: "id of the client there", Field: func(s *Settings) *string { return &s.OIDCClient }},
		{Name: "oidc-ca-file", Usage: "PEM file of the authorities that the provider must be signed by", Field: func(s *Settings) *string { return &s.OIDCCAFile }, file: true},
		{Name: "ca-file", Usage: "PEM file of the authorities that services must be signed by", Field: func(s *Settings) *string { return &s.CAFile }, file: true},
		{Name: "cert-file", Usage: "PEM file of the caller's certificate", Field: func(s *Settings) *string { return &s.CertFile }, file: true},
		{Name: "key-file", Usage: "PEM file of the certificate's private key", Field: func(s *Settings) *string { return &s.KeyFile }, file: true},
		{Name: "nats-url", Usage: "address of the bus, such as nats://127.0.0.1:4222", Field: func(s *Settings) *string { return &s.NATSURL }, url: true},
		{Name: "nats-user", Usage: "user on the bus", Field: func(s *Settings) *string { return &s.NATSUser }},
		{Name: "nats-password-file", Usage: "file with that user's password", Field: func(s *Settings) *string { return &s.NATSPasswordFile }, file: true},
		{Name: "nats-creds", Usage: "NATS credentials file, instead of user and password", Field: func(s *Settings) *string { return &s.NATSCreds }, file: true},
		{Name: "nats-inbox-prefix", Usage: "subject of replies, where the bus gives each user one of their own (default _INBOX)", Field: func(s *Settings) *string { return &s.NATSInboxPrefix }},
	}
}

// Sources is what settings are taken from.
type Sources struct {
	// Flag returns the value of a flag, and whether it was given.
	Flag func(name string) (string, bool)
	// Getenv returns an environment variable, empty where it is not set.
	Getenv func(name string) string
	// Context is the value of --context, empty where it was not given.
	Context string
	// Home is the folder of the user's configuration, usually ~/.config; may be empty.
	Home string
}

// contextEnv names the context file.
const contextEnv = "SHIPWARDEN_CONFIG"

// Local is the context file of the working folder.
var Local = filepath.Join(".shipwarden", "cli.yaml")

// Resolve puts the settings together. An error names the file, line and column, or
// the setting, at fault.
func Resolve(from Sources) (Settings, error) {
	out, err := fromFile(from)
	if err != nil {
		return Settings{}, err
	}
	for _, s := range All() {
		if value := from.Getenv(s.Env()); value != "" {
			*s.Field(&out) = value
		}
		if value, given := from.Flag(s.Name); given {
			*s.Field(&out) = value
		}
	}
	if (out.CertFile == "") != (out.KeyFile == "") {
		return Settings{}, errors.New("cert-file and key-file are set together or not at all")
	}
	if out.NATSCreds != "" && out.NATSUser != "" {
		return Settings{}, errors.New("nats-creds and nats-user are not set together")
	}
	if (out.OIDCIssuer == "") != (out.OIDCClient == "") {
		return Settings{}, errors.New("oidc-issuer and oidc-client are set together or not at all")
	}
	return out, nil
}

func fromFile(from Sources) (Settings, error) {
	named := from.Context
	if named == "" {
		named = from.Getenv(contextEnv)
	}
	if named != "" {
		return read(named)
	}
	out, err := read(Local)
	if err == nil {
		return out, onlyHere(out)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return Settings{}, err
	}
	if from.Home == "" {
		return Settings{}, nil
	}
	out, err = read(filepath.Join(from.Home, "shipwarden", "config.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, nil
	}
	return out, err
}

func read(path string) (Settings, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("read settings: %w", err)
	}
	return Parse(data, path)
}

// onlyHere refuses a file that lay in the working folder and leads elsewhere: the
// folder may be somebody else's work, and a token would be sent to their machine.
func onlyHere(s Settings) error {
	for _, setting := range All() {
		if !setting.url {
			continue
		}
		for address := range strings.SplitSeq(*setting.Field(&s), ",") {
			if address != "" && !Loopback(address) {
				return fmt.Errorf("read settings: %s: %s leads to %s; a file found in the working folder may name this machine only (use --context %s if you trust it)",
					s.Source, setting.Name, address, s.Source)
			}
		}
	}
	return nil
}

// Loopback reports whether an address, with or without a scheme, is one of this
// machine.
func Loopback(address string) bool {
	if _, rest, ok := strings.Cut(address, "://"); ok {
		address = rest
	}
	// What stands behind the host belongs to a path, and not to a user before it.
	if end := strings.IndexAny(address, "/?#"); end >= 0 {
		address = address[:end]
	}
	if at := strings.LastIndex(address, "@"); at >= 0 {
		address = address[at+1:]
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
