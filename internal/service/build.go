package service

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// version is stamped at link time with -X; a build without it calls itself by
// what Go knows of the main module.
var version string

// BuildInfo says which code runs.
type BuildInfo struct {
	// Version is a release's version, or "devel".
	Version string
	// Revision is the commit, or "unknown".
	Revision string
	// Go is the version of the Go tool chain.
	Go string
}

// String is what -version prints.
func (b BuildInfo) String() string {
	return fmt.Sprintf("%s (revision %s, %s)", b.Version, b.Revision, b.Go)
}

// Build returns the information of this program.
func Build() BuildInfo {
	out := BuildInfo{Version: version, Revision: "unknown", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			out.Revision = setting.Value
		}
	}
	if out.Version == "" {
		out.Version = info.Main.Version
	}
	if out.Version == "" || out.Version == "(devel)" {
		out.Version = "devel"
	}
	return out
}

// NewRegistry returns a metrics registry with the metrics that every service
// has: those of the process and of Go, and shipwarden_build_info.
func NewRegistry(name string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := Build()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "shipwarden_build_info",
			Help: "Which code runs; the value is always 1.",
			ConstLabels: prometheus.Labels{
				"service": name, "version": build.Version, "revision": build.Revision, "goversion": build.Go,
			},
		}, func() float64 { return 1 }),
	)
	return registry
}
