package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blackdice/shipwarden/cli/exit"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

// metricSources are those that were asked for, as NAME=URL. The error names the flag.
func (o devOptions) metricSources() ([]*configv1.MetricSource, error) {
	var out []*configv1.MetricSource
	for _, text := range o.metrics {
		name, url, found := strings.Cut(text, "=")
		if !found {
			return nil, exit.Withf(exit.Usage, "--metrics %s: must be NAME=URL, with the name that checks have for it", text)
		}
		source := &configv1.MetricSource{Name: name, Url: url}
		if _, err := metrics.Open([]*configv1.MetricSource{source}, nil, nil); err != nil {
			return nil, exit.With(exit.Usage, fmt.Errorf("--metrics %s: %w", text, err))
		}
		if slices.ContainsFunc(out, func(s *configv1.MetricSource) bool { return s.GetName() == name }) {
			return nil, exit.Withf(exit.Usage, "--metrics %s: %s is there already", text, name)
		}
		out = append(out, source)
	}
	return out, nil
}
