package recorder

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/mail"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/recorder/digest"
	"github.com/blackdice/shipwarden/services/recorder/query"
)

// Load reads a configuration file.
func Load(path string) (*configv1.Recorder, error) {
	cfg := &configv1.Recorder{}
	return cfg, service.LoadConfig(path, cfg)
}

// access is who may read, and how that is known.
type access struct {
	tls     *tls.Config
	readers *query.Access
}

func (a access) unary() []grpc.UnaryServerInterceptor {
	return []grpc.UnaryServerInterceptor{a.readers.Unary}
}

func (a access) stream() []grpc.StreamServerInterceptor {
	return []grpc.StreamServerInterceptor{a.readers.Stream}
}

// prepare reads every file that the configuration names.
func prepare(cfg *configv1.Recorder, now func() time.Time) (*parts, error) {
	ring, err := LoadKeyring(cfg.GetCommon())
	if err != nil {
		return nil, err
	}
	p := &parts{ring: ring}
	if p.signer, err = loadSigner(cfg.GetCommon().GetSigningKey()); err != nil {
		return nil, err
	}
	if p.dsn, p.migrateDSN, err = Databases(cfg); err != nil {
		return nil, err
	}
	if p.digest, err = loadDigest(cfg.GetDigest()); err != nil {
		return nil, err
	}
	p.access, err = loadAccess(cfg, now)
	return p, err
}

// telling is how people are told what is on record in their name.
type telling struct {
	calendar digest.Calendar
	relay    *mail.Relay
	from     string
}

var errNoCertificate = errors.New("the file holds no certificate in PEM")

// loadDigest reads the files that a digest names; nil for none. The error names every field
// at fault.
func loadDigest(cfg *configv1.Digest) (*telling, error) {
	if cfg == nil {
		return nil, nil //nolint:nilnil // There is none, and that is fine.
	}
	t, wrong := &telling{from: cfg.GetFrom()}, []error{}
	field := func(name string, err error) { wrong = append(wrong, service.InField("digest."+name, err)) }
	config := mail.Config{From: cfg.GetFrom(), Timeout: cfg.GetTimeout().AsDuration()}
	address, err := service.ReadSecret(cfg.GetUrlFile())
	field("url_file", err)
	config.URL = address.Reveal()
	if cfg.GetPasswordFile() != "" {
		password, err := service.ReadSecret(cfg.GetPasswordFile())
		field("password_file", err)
		config.Password = password.Reveal()
	}
	if cfg.GetCaFile() != "" {
		pem, err := os.ReadFile(cfg.GetCaFile())
		if config.Roots = x509.NewCertPool(); err == nil && !config.Roots.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%w: %s", errNoCertificate, cfg.GetCaFile())
		}
		field("ca_file", err)
	}
	if errors.Join(wrong...) == nil {
		t.relay, err = mail.New(config)
		switch {
		case errors.Is(err, mail.ErrPassword):
			field("password_file", err)
		case errors.Is(err, mail.ErrAddress):
			field("from", err)
		default:
			field("url_file", err)
		}
	}
	if t.calendar, err = digest.NewCalendar(cfg.GetAt(), cfg.GetTimeZone()); err != nil {
		wrong = append(wrong, fmt.Errorf("digest.%w", err))
	}
	return t, errors.Join(wrong...)
}

// LoadKeyring reads the keyring that a configuration names.
func LoadKeyring(cfg *configv1.Common) (*envelope.Keyring, error) {
	keys := &configv1.Keyring{}
	if err := service.LoadConfig(cfg.GetKeyringFile(), keys); err != nil {
		return nil, fmt.Errorf("common.keyring_file: %w", err)
	}
	return envelope.NewKeyring(keys)
}

func loadSigner(cfg *configv1.SigningKey) (*envelope.Signer, error) {
	text, err := service.ReadSecret(cfg.GetFile())
	if err != nil {
		return nil, fmt.Errorf("common.signing_key.file: %w", err)
	}
	key, err := envelope.ParsePrivateKey([]byte(text.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("common.signing_key.file: %w", err)
	}
	return envelope.NewSigner(cfg.GetId(), Name, key)
}

// Databases reads the connection strings of the writing role and of the role that
// migrates; the second is empty where others migrate.
func Databases(cfg *configv1.Recorder) (dsn, migrate string, err error) {
	secret, err := service.ReadSecret(cfg.GetDatabaseUrlFile())
	if err != nil {
		return "", "", fmt.Errorf("database_url_file: %w", err)
	}
	if cfg.GetMigrateUrlFile() == "" {
		return secret.Reveal(), "", nil
	}
	owner, err := service.ReadSecret(cfg.GetMigrateUrlFile())
	if err != nil {
		return "", "", fmt.Errorf("migrate_url_file: %w", err)
	}
	return secret.Reveal(), owner.Reveal(), nil
}

// errReaderGroups says that a provider's people cannot be told from its readers.
var errReaderGroups = errors.New("reader_groups: names the groups of the provider whose members read the record: required with oidc, and of no use without")

func loadAccess(cfg *configv1.Recorder, now func() time.Time) (access, error) {
	var tokens *configv1.Tokens
	if path := cfg.GetTokensFile(); path != "" {
		tokens = &configv1.Tokens{}
		if err := service.LoadConfig(path, tokens); err != nil {
			return access{}, fmt.Errorf("tokens_file: %w", err)
		}
	}
	secure, err := service.ServerTLS(cfg.GetGrpc().GetTls())
	if err != nil {
		return access{}, fmt.Errorf("grpc.tls: %w", err)
	}
	provider, err := identity.NewProvider(cfg.GetOidc(), now)
	if err != nil {
		return access{}, err
	}
	if (provider == nil) != (len(cfg.GetReaderGroups()) == 0) {
		return access{}, errReaderGroups
	}
	readers, err := query.NewAccess(tokens, cfg.GetGrpc().GetTls().GetCaFile() != "", query.Provided{Provider: provider, Groups: cfg.GetReaderGroups()})
	return access{tls: secure, readers: readers}, service.InField("tokens_file", err)
}
