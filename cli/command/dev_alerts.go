package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/alerts"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
)

// alertSources are those that were asked for, as NAME=URL: approval service and executor
// have the same. The error names the flag.
func (o devOptions) alertSources() ([]*configv1.AlertSource, error) {
	var out []*configv1.AlertSource
	for _, given := range []struct {
		flag string
		kind configv1.AlertSource_Kind
		all  []string
	}{
		{"--alertmanager", configv1.AlertSource_KIND_ALERTMANAGER, o.alertmanagers}, {"--prometheus", configv1.AlertSource_KIND_PROMETHEUS, o.prometheuses},
	} {
		for _, text := range given.all {
			name, url, found := strings.Cut(text, "=")
			if !found {
				return nil, exit.Withf(exit.Usage, "%s %s: must be NAME=URL, with the name that the procedure document has for it", given.flag, text)
			}
			source := &configv1.AlertSource{Name: name, Kind: given.kind, Url: url}
			if _, err := alerts.Open([]*configv1.AlertSource{source}); err != nil {
				return nil, exit.With(exit.Usage, fmt.Errorf("%s %s: %w", given.flag, text, err))
			}
			if slices.ContainsFunc(out, func(s *configv1.AlertSource) bool { return s.GetName() == name }) {
				return nil, exit.Withf(exit.Usage, "%s %s: %s is there already", given.flag, text, name)
			}
			out = append(out, source)
		}
	}
	return out, nil
}
