package recorder

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/identity"
	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
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
	p.access, err = loadAccess(cfg, now)
	return p, err
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
