package approval

import (
	"errors"
	"fmt"

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
		url, err := service.ReadSecret(c.GetUrlFile())
		if err != nil {
			wrong = append(wrong, fmt.Errorf("channels[%d].url_file: %w", i, err))
			continue
		}
		ch, err := channel.New(channel.Config{
			Name: c.GetChannel(), Kind: c.GetKind(), URL: url.Reveal(), Timeout: c.GetTimeout().AsDuration(),
		})
		if err != nil {
			wrong = append(wrong, fmt.Errorf("channels[%d]: %w", i, err))
			continue
		}
		out[c.GetChannel()] = ch
	}
	return out, errors.Join(wrong...)
}
