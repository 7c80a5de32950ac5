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
	return checkSources("--metrics", o.metrics, func(s *configv1.MetricSource) error {
		_, err := metrics.Open([]*configv1.MetricSource{s}, nil, nil)
		return err
	})
}

// logSources are those of logs: they have the fields of the others, and names of their own.
func (o devOptions) logSources() ([]*configv1.MetricSource, error) {
	return checkSources("--logs", o.logs, func(s *configv1.MetricSource) error {
		_, err := metrics.OpenLogs([]*configv1.MetricSource{s}, nil, nil)
		return err
	})
}

// checkSources reads the sources that a flag gives, each of which the validator must take.
func checkSources(flag string, given []string, take func(*configv1.MetricSource) error) ([]*configv1.MetricSource, error) {
	var out []*configv1.MetricSource
	for _, text := range given {
		name, url, found := strings.Cut(text, "=")
		if !found {
			return nil, exit.Withf(exit.Usage, "%s %s: must be NAME=URL, with the name that checks have for it", flag, text)
		}
		source := &configv1.MetricSource{Name: name, Url: url}
		if err := take(source); err != nil {
			return nil, exit.With(exit.Usage, fmt.Errorf("%s %s: %w", flag, text, err))
		}
		if slices.ContainsFunc(out, func(s *configv1.MetricSource) bool { return s.GetName() == name }) {
			return nil, exit.Withf(exit.Usage, "%s %s: %s is there already", flag, text, name)
		}
		out = append(out, source)
	}
	return out, nil
}
