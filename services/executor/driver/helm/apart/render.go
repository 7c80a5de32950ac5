package apart

import (
	"context"
	"fmt"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// render does what Helm's install and upgrade do between the chart and what it makes, in their order.
func (o Order) render(ctx context.Context, c *chart.Chart, server *rest.Config) (map[string]string, error) {
	if err := chartutil.ProcessDependencies(c, o.Values); err != nil {
		return nil, fmt.Errorf("chart dependencies: %w", err)
	}
	capabilities := &common.Capabilities{
		KubeVersion: common.KubeVersion{Version: o.Capabilities.Version, Major: o.Capabilities.Major, Minor: o.Capabilities.Minor},
		APIVersions: o.Capabilities.APIVersions, HelmVersion: common.DefaultCapabilities.HelmVersion,
	}
	values, err := util.ToRenderValuesWithSchemaValidation(c, o.Values, common.ReleaseOptions{
		Name: o.Release.Name, Namespace: o.Release.Namespace, Revision: o.Release.Revision,
		IsInstall: o.Release.Install, IsUpgrade: !o.Release.Install,
	}, capabilities, false)
	if err != nil {
		return nil, err
	}
	if needs := c.Metadata.KubeVersion; needs != "" && !chartutil.IsCompatibleRange(needs, capabilities.KubeVersion.String()) {
		return nil, fmt.Errorf("the chart requires Kubernetes %s, and the server is %s", needs, capabilities.KubeVersion.Version) //nolint:err113 // Helm's own words, a little shorter.
	}
	return engine.New(server).RenderWithContext(ctx, c, values)
}

// bounded refuses what is more than is read of it with ease: as it stands there, and as readers of YAML
// write it out, for whom a line may stand for a million. What is no YAML is refused by whoever reads it.
func bounded(files map[string]string) error {
	size := 0
	for _, text := range files {
		size += len(text)
	}
	if size > maxMade {
		return largeError("chart: what it makes", maxMade)
	}
	size = 0
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		for _, doc := range releaseutil.SplitManifests(text) {
			out, err := yaml.YAMLToJSON([]byte(doc))
			if err != nil {
				continue
			}
			if size += len(out); size > maxMade {
				return largeError("chart: what it makes, with everything written out,", maxMade)
			}
		}
	}
	return nil
}
