package approval

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// channels opens the configured channels. Their addresses are secrets and come from
// files. The error names every field at fault.
func channels(cfg *configv1.Approval) (map[string]notify.Channel, error) {
	out := map[string]notify.Channel{}
	var wrong []error
	for i, c := range cfg.GetChannels() {
		if out[c.GetChannel()] != nil {
			wrong = append(wrong, fmt.Errorf("channels[%d].channel: %s is there already", i, c.GetChannel()))
			continue
		}
		config, err := address(c)
		if err == nil {
			var ch *channel.Channel
			if ch, err = channel.New(config); err == nil {
				out[c.GetChannel()] = ch
				continue
			}
			err = fmt.Errorf(": %w", err)
		}
		wrong = append(wrong, fmt.Errorf("channels[%d]%w", i, err))
	}
	return out, errors.Join(wrong...)
}

// address reads the files that a channel names.
func address(c *configv1.ChannelAddress) (channel.Config, error) {
	config := channel.Config{Name: c.GetChannel(), Kind: c.GetKind(), Mail: c.GetMail(), Timeout: c.GetTimeout().AsDuration()}
	url, err := service.ReadSecret(c.GetUrlFile())
	if err != nil {
		return config, fmt.Errorf(".url_file: %w", err)
	}
	config.URL = url.Reveal()
	for i, file := range c.GetSecretFiles() {
		secret, err := service.ReadSecret(file)
		if err != nil {
			return config, fmt.Errorf(".secret_files[%d]: %w", i, err)
		}
		config.Secrets = append(config.Secrets, secret.Reveal())
	}
	if c.GetCaFile() == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.GetCaFile())
	if err != nil {
		return config, fmt.Errorf(".ca_file: %w", err)
	}
	config.Roots = x509.NewCertPool()
	if !config.Roots.AppendCertsFromPEM(pem) {
		return config, fmt.Errorf(".ca_file: %w: %s", errNoCertificate, c.GetCaFile())
	}
	return config, nil
}

var errNoCertificate = errors.New("the file holds no certificate in PEM")
