package delivery

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	older = "a111111111111111111111111111111111111111"
	newer = "b222222222222222222222222222222222222222"
)

var shop = Source{
	URLs: []string{"ssh://git@git.example.com/shop/deploy.git", "https://mirror.example.com/deploy"}, Branch: "main", Path: "apps/shop",
}

// object is one of YAML, in which OLD and NEW stand for two commits.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	converted, err := yaml.YAMLToJSON([]byte(strings.NewReplacer("OLD", older, "NEW", newer, "\t", "  ").Replace(text)))
	if err == nil {
		err = o.UnmarshalJSON(converted)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

const (
	argoHead = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: shop, namespace: argocd}\n"
	argoSpec = "spec: {source: {repoURL: 'https://git.example.com/shop/deploy', path: ./apps/shop, targetRevision: main}, syncPolicy: {automated: {prune: true}}}\n"
)

func TestWhatAnApplicationOfArgoCDSays(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   Seen
	}{
		"nothing yet": {"{}", Seen{Message: "nothing said and nothing said"}},
		"synced and healthy": {
			"{sync: {status: Synced, revision: NEW}, health: {status: Healthy}, operationState: {phase: Succeeded, syncResult: {revision: NEW}}}",
			Seen{Revision: newer, Tried: newer, Synced: true, Healthy: true, Message: "Synced and Healthy"},
		},
		"on its way": {
			"{sync: {status: Synced, revision: NEW}, health: {status: Progressing}}",
			Seen{Revision: newer, Tried: newer, Synced: true, Message: "Synced and Progressing"},
		},
		"compared, and not synchronized": {
			"{sync: {status: OutOfSync, revision: NEW}, health: {status: Healthy}, resources: [{kind: Service, name: b, status: Synced}, {kind: Deployment, name: a, status: OutOfSync}]}",
			Seen{Revision: newer, Tried: newer, Healthy: true, Message: "OutOfSync and Healthy", Drift: []string{"Deployment a: is not as Git has it"}},
		},
		// Health is that of what is there, which a synchronization is about to replace.
		"a synchronization is running": {
			"{sync: {status: Synced, revision: NEW}, health: {status: Healthy}, operationState: {phase: Running, message: 'waiting for\n hook'}}",
			Seen{Revision: newer, Tried: newer, Healthy: true, Message: "Synced and Healthy, a synchronization is running: waiting for hook"},
		},
		"a synchronization has failed": {
			"{sync: {status: OutOfSync, revision: NEW}, health: {status: Healthy}, operationState: {phase: Failed, message: no such kind, syncResult: {revision: NEW}}}",
			Seen{Revision: newer, Tried: newer, Healthy: true, Message: "OutOfSync and Healthy", Failed: "its synchronization has failed: no such kind"},
		},
		"one of before has failed": {
			"{sync: {status: OutOfSync, revision: NEW}, health: {status: Healthy}, operationState: {phase: Failed, message: no such kind, syncResult: {revision: OLD}}}",
			Seen{Revision: newer, Tried: newer, Healthy: true, Message: "OutOfSync and Healthy"},
		},
		"degraded": {
			"{sync: {status: Synced, revision: NEW}, health: {status: Degraded}, resources: [{kind: Deployment, name: shop, status: Synced, health: {status: Degraded, message: image cannot be pulled}}]}",
			Seen{Revision: newer, Tried: newer, Synced: true, Message: "Synced and Degraded", Failed: "what it has placed is Degraded: Deployment shop image cannot be pulled"},
		},
		"what it cannot read": {
			"{sync: {status: Unknown, revision: NEW}, health: {status: Healthy}, conditions: [{type: ComparisonError, message: no kustomization}]}",
			Seen{Revision: newer, Tried: newer, Healthy: true, Message: "Unknown and Healthy", Failed: "ComparisonError: no kustomization"},
		},
		"what it followed before": {
			"{sync: {status: Synced, revision: NEW, comparedTo: {source: {repoURL: 'https://git.example.com/shop/deploy', path: apps/other, targetRevision: main}}}, health: {status: Healthy}}",
			Seen{Message: "it has not looked at what is wanted of it"},
		},
		"what it follows": {
			"{sync: {status: Synced, revision: NEW, comparedTo: {source: {repoURL: 'https://git.example.com/shop/deploy', path: ./apps/shop, targetRevision: main}}}, health: {status: Healthy}}",
			Seen{Revision: newer, Tried: newer, Synced: true, Healthy: true, Message: "Synced and Healthy"},
		},
		"a revision that is no commit": {"{sync: {status: Synced, revision: 1.2.3}, health: {status: Healthy}}", Seen{Synced: true, Healthy: true, Message: "Synced and Healthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := application(object(t, argoHead+argoSpec+"status: "+c.status), shop)
			same(t, got, c.want, err)
		})
	}
	several := argoHead + `spec:
  sources:
  - {repoURL: 'https://charts.example.com', chart: shop, targetRevision: 1.2.3}
  - {repoURL: 'git@git.example.com:shop/deploy.git', path: apps/shop/overlays/eu, targetRevision: refs/heads/main}
  syncPolicy: {automated: {}}
status:
  sync:
    status: Synced
    revisions: [1.2.3, NEW]
    comparedTo:
      sources:
      - {repoURL: 'https://charts.example.com', chart: shop, targetRevision: 1.2.3}
      - {repoURL: 'git@git.example.com:shop/deploy.git', path: apps/shop/overlays/eu, targetRevision: refs/heads/main}
  health: {status: Healthy}
`
	got, err := application(object(t, several), shop)
	same(t, got, Seen{Revision: newer, Tried: newer, Synced: true, Healthy: true, Message: "Synced and Healthy"}, err)
}

func same(t *testing.T, got, want Seen, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.Drift, "\n") != strings.Join(want.Drift, "\n") {
		t.Errorf("drift %q, want %q", got.Drift, want.Drift)
	}
	got.Drift, want.Drift = nil, nil
	if got.Revision != want.Revision || got.Tried != want.Tried || got.Synced != want.Synced || got.Healthy != want.Healthy || got.Failed != want.Failed || got.Message != want.Message {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

const (
	repository = `
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: deploy, namespace: flux-system}
spec: {url: 'https://mirror.example.com/deploy.git', ref: {branch: main}}
status: {artifact: {revision: 'main@sha1:NEW'}}
`
	fluxHead = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: shop, namespace: flux-system, generation: 3}\n"
	fluxSpec = "spec: {path: ./apps/shop, sourceRef: {kind: GitRepository, name: deploy}, wait: true}\n"
	helmHead = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: shop, namespace: flux-system, generation: 3}\n"
	helmSpec = "spec: {chart: {spec: {chart: ./apps/shop, reconcileStrategy: Revision, sourceRef: {kind: GitRepository, name: deploy}}}}\n"
)

func TestWhatAKustomizationOfFluxSays(t *testing.T) {
	for name, c := range map[string]struct {
		status string
		want   Seen
	}{
		"nothing yet": {"{}", Seen{Message: "it has not looked at what is wanted of it (its source is at b22222222222)"}},
		"ready": {
			"{observedGeneration: 3, lastAppliedRevision: 'main@sha1:NEW', lastAttemptedRevision: 'main@sha1:NEW', conditions: [{type: Ready, status: 'True', reason: ReconciliationSucceeded, message: Applied}]}",
			Seen{Revision: newer, Tried: newer, Synced: true, Healthy: true, Message: "ReconciliationSucceeded: Applied (its source is at b22222222222)"},
		},
		"ready, by what was wanted of it before": {
			"{observedGeneration: 2, lastAppliedRevision: 'main@sha1:NEW', lastAttemptedRevision: 'main@sha1:NEW', conditions: [{type: Ready, status: 'True', reason: ReconciliationSucceeded, message: Applied}]}",
			Seen{Revision: newer, Tried: newer, Message: "it has not looked at what is wanted of it (its source is at b22222222222)"},
		},
		"ready at the one before": {
			"{observedGeneration: 3, lastAppliedRevision: 'refs/heads/main@sha1:OLD', lastAttemptedRevision: 'main@sha1:OLD', conditions: [{type: Ready, status: 'True', reason: ReconciliationSucceeded, message: Applied}]}",
			Seen{Revision: older, Tried: older, Synced: true, Healthy: true, Message: "ReconciliationSucceeded: Applied (its source is at b22222222222)"},
		},
		"on its way": {
			"{observedGeneration: 3, lastAppliedRevision: 'main@sha1:OLD', lastAttemptedRevision: 'main@sha1:NEW', conditions: [{type: Ready, status: Unknown, reason: Progressing, message: Running health checks}]}",
			Seen{Revision: older, Tried: newer, Message: "Progressing: Running health checks (its source is at b22222222222)"},
		},
		"failed": {
			"{observedGeneration: 3, lastAppliedRevision: 'main@sha1:OLD', lastAttemptedRevision: 'main@sha1:NEW', conditions: [{type: Ready, status: 'False', reason: HealthCheckFailed, message: Deployment/shop is not ready}]}",
			Seen{Revision: older, Tried: newer, Message: "HealthCheckFailed: Deployment/shop is not ready (its source is at b22222222222)", Failed: "HealthCheckFailed: Deployment/shop is not ready"},
		},
		"waits for another": {
			"{observedGeneration: 3, lastAttemptedRevision: 'main@sha1:NEW', conditions: [{type: Ready, status: 'False', reason: DependencyNotReady, message: database}]}",
			Seen{Tried: newer, Message: "DependencyNotReady: database (its source is at b22222222222)"},
		},
		"stalled": {
			"{observedGeneration: 3, lastAttemptedRevision: 'main@sha1:NEW', conditions: [{type: Stalled, status: 'True', reason: InvalidSpec, message: no path}, {type: Ready, status: 'False', reason: InvalidSpec, message: no path}]}",
			Seen{Tried: newer, Message: "InvalidSpec: no path (its source is at b22222222222)", Failed: "InvalidSpec: no path"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := kustomization(object(t, fluxHead+fluxSpec+"status: "+c.status), object(t, repository), shop)
			same(t, got, c.want, err)
		})
	}
}

func TestWhatAHelmReleaseOfFluxSays(t *testing.T) {
	const ready = "conditions: [{type: Ready, status: 'True', reason: UpgradeSucceeded, message: ok}]"
	got, err := helmRelease(object(t, helmHead+helmSpec+"status: {observedGeneration: 3, lastAttemptedRevision: 1.2.3+b22222222222, history: [{chartVersion: 1.2.3+b22222222222, status: deployed}], "+ready+"}"), object(t, repository), shop)
	same(t, got, Seen{Revision: newer[:12], Tried: newer[:12], Synced: true, Healthy: true, Message: "UpgradeSucceeded: ok (its source is at b22222222222)"}, err)
	// It has gone back in the cluster by itself, and Git is as it was: that is no success.
	got, err = helmRelease(object(t, helmHead+helmSpec+`status: {observedGeneration: 3, lastAttemptedRevision: 1.2.3+b22222222222, history: [{chartVersion: 1.2.3+a11111111111, status: deployed}],
  conditions: [{type: Ready, status: 'False', reason: RollbackSucceeded, message: back}]}`), object(t, repository), shop)
	same(t, got, Seen{Revision: older[:12], Tried: newer[:12], Message: "RollbackSucceeded: back (its source is at b22222222222)", Failed: "RollbackSucceeded: back"}, err)
}

func TestWhatFollowsNothingIsNamed(t *testing.T) {
	argo := func(spec string) error {
		_, err := application(object(t, argoHead+"spec: "+spec), shop)
		return err
	}
	const of = "repoURL: 'https://git.example.com/shop/deploy', path: apps/shop"
	flux := func(spec, git string) error {
		o := object(t, fluxHead+"spec: "+spec)
		if _, _, err := sourceOf(o); err != nil {
			return err
		}
		r := object(t, repository)
		if git != "" {
			r = object(t, "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\nmetadata: {name: deploy}\nspec: "+git)
		}
		if err := gitRepository(r, shop); err != nil {
			return err
		}
		_, err := kustomization(o, r, shop)
		return err
	}
	helm := func(spec string) error {
		_, err := helmRelease(object(t, helmHead+"spec: "+spec), object(t, repository), shop)
		return err
	}
	const good = "{path: apps/shop, sourceRef: {kind: GitRepository, name: deploy}, wait: true}"
	const url = "url: 'https://mirror.example.com/deploy'"
	const chart = "chart: ./apps/shop, reconcileStrategy: Revision"
	for want, err := range map[string]error{
		"automated is not set":               argo("{source: {" + of + "}}"),
		"automated.enabled is false":         argo("{source: {" + of + "}, syncPolicy: {automated: {enabled: false}}}"),
		"targetRevision is release-1":        argo("{source: {" + of + ", targetRevision: release-1}, syncPolicy: {automated: {}}}"),
		"its path is apps/shop2":             argo("{source: {repoURL: 'https://git.example.com/shop/deploy', path: apps/shop2}, syncPolicy: {automated: {}}}"),
		"its repoURL is https://git.example": argo("{source: {repoURL: 'https://somebody:secret@git.example.com/other', path: apps/shop}, syncPolicy: {automated: {}}}"),
		"sourceHydrator":                     argo("{sourceHydrator: {}, source: {" + of + "}, syncPolicy: {automated: {}}}"),
		"skip-reconcile": func() error {
			o := object(t, argoHead+argoSpec)
			o.SetAnnotations(map[string]string{"argocd.argoproj.io/skip-reconcile": "true"})
			_, err := application(o, shop)
			return err
		}(),
		"spec.suspend is true":        flux("{suspend: true, path: apps/shop, sourceRef: {kind: GitRepository, name: deploy}, wait: true}", ""),
		"spec.path is ./apps/other":   flux("{path: ./apps/other, sourceRef: {kind: GitRepository, name: deploy}, wait: true}", ""),
		"set spec.wait":               flux("{path: ./apps/shop, sourceRef: {kind: GitRepository, name: deploy}}", ""),
		"kind is \"OCIRepository\"":   flux("{path: ./apps/shop, sourceRef: {kind: OCIRepository, name: deploy}, wait: true}", ""),
		"spec.ref.commit pins it":     flux(good, "{"+url+", ref: {branch: main, commit: abc}}"),
		"spec.ref.tag pins it":        flux(good, "{"+url+", ref: {tag: v1}}"),
		"spec.ref.branch is master":   flux(good, "{"+url+"}"),
		"spec.ref.name is refs/tags/": flux(good, "{"+url+", ref: {name: refs/tags/v1}}"),
		"spec.url is https://mirror":  flux(good, "{url: 'https://mirror.example.com/other', ref: {branch: main}}"),
		"reconcileStrategy is not":    helm("{chart: {spec: {chart: ./apps/shop}}}"),
		"spec.chart.spec.chart is x":  helm("{chart: {spec: {chart: x, reconcileStrategy: Revision}}}"),
		"disableWait has it":          helm("{upgrade: {disableWait: true}, chart: {spec: {" + chart + "}}}"),
		"suspend is true: does not":   helm("{suspend: true, chart: {spec: {" + chart + "}}}"),
	} {
		if !errors.Is(err, ErrNotFollowing) || !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if err := flux(good, "{"+url+", ref: {name: refs/heads/main}}"); err != nil {
		t.Errorf("what follows is refused: %v", err)
	}
}

func TestTheURLsOfARepository(t *testing.T) {
	for _, url := range []string{
		"https://git.example.com/shop/deploy", "https://token@GIT.example.com:443/shop/deploy.git/", "git@git.example.com:shop/deploy.git", "ssh://git@git.example.com:22/shop/deploy",
		"git@git.example.com:/shop/deploy", "https://mirror.example.com/deploy.git",
	} {
		if !shop.known(url) {
			t.Errorf("%s is not known", url)
		}
	}
	for _, url := range []string{"", "https://git.example.com/shop/deploy2", "https://git.example.com:8443/shop/deploy", "https://git.example.org/shop/deploy", "shop/deploy", "deploy"} {
		if shop.known(url) {
			t.Errorf("%s is taken for the same", url)
		}
	}
}
