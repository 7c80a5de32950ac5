package approval

import (
	"fmt"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/approval/channel"
	"github.com/blackdice/shipwarden/services/approval/notify"
)

// channels opens the configured channels. Their addresses are secrets and come from
// files.
func channels(cfg *configv1.Approval) (map[string]notify.Channel, error) {
	out := map[string]notify.Channel{}
	for i, c := range cfg.GetChannels() {
		if out[c.GetChannel()] != nil {
			return nil, fmt.Errorf("channels[%d].channel: %s is there already", i, c.GetChannel())
		}
		url, err := service.ReadSecret(c.GetUrlFile())
		if err != nil {
			return nil, fmt.Errorf("channels[%d].url_file: %w", i, err)
		}
		ch, err := channel.New(channel.Config{
			Name: c.GetChannel(), Kind: c.GetKind(), URL: url.Reveal(), Timeout: c.GetTimeout().AsDuration(),
		})
		if err != nil {
			return nil, fmt.Errorf("channels[%d]: %w", i, err)
		}
		out[c.GetChannel()] = ch
	}
	return out, nil
}
