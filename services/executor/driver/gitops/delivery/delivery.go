package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

// ErrNotFollowing says that nothing in the cluster comes of a commit: the resource is suspended,
// or follows something else. It wraps driver.ErrInvalid.
var ErrNotFollowing = fmt.Errorf("does not follow the repository: %w", driver.ErrInvalid)

// The resources that are read.
var (
	applications    = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	kustomizations  = schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"}
	helmReleases    = schema.GroupVersionResource{Group: "helm.toolkit.fluxcd.io", Version: "v2", Resource: "helmreleases"}
	gitRepositories = schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "gitrepositories"}
)

// Source is what a resource must follow.
type Source struct {
	// URLs are those by which the cluster may know the repository.
	URLs []string
	// Branch is the branch, and Path the folder in it, clean; "." for all of it.
	Branch, Path string
}

// Seen is what a resource says of itself.
type Seen struct {
	// Revision is the commit that it has placed, or its first 12 digits or more; "" where it
	// names none.
	Revision string
	// Synced says that what is there is as Revision has it, Healthy that it works.
	Synced, Healthy bool
	// Tried is the commit that it has tried last, written as Revision is.
	Tried string
	// Failed says in one line why that failed, by its own word; "" where it has not.
	Failed string
	// Message says in one line how it is.
	Message string
	// Drift has what is not as Revision has it, a line each, where the resource tells.
	Drift []string
}

// Resource is an object of Argo CD or Flux. It is safe for concurrent use.
type Resource struct {
	namespace *cluster.Namespace
	kind      configv1.GitopsResource_Kind
	name      string
	source    Source
}

// name is what an object of Kubernetes is called (RFC 1123).
var name = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// New checks what is configured, and reaches nobody. The error names the field at fault.
func New(namespace *cluster.Namespace, c *configv1.GitopsResource, source Source) (*Resource, error) {
	var problems []error
	if !name.MatchString(c.GetName()) {
		problems = append(problems, fmt.Errorf("name: %q is no name of an object of Kubernetes", c.GetName()))
	}
	switch c.GetKind() {
	case configv1.GitopsResource_KIND_ARGOCD_APPLICATION, configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION, configv1.GitopsResource_KIND_FLUX_HELM_RELEASE:
	case configv1.GitopsResource_KIND_UNSPECIFIED:
		fallthrough
	default:
		problems = append(problems, errors.New("kind: must be that of an Application of Argo CD, or of a Kustomization or HelmRelease of Flux"))
	}
	return &Resource{namespace: namespace, kind: c.GetKind(), name: c.GetName(), source: source}, errors.Join(problems...)
}

// String names the resource for people.
func (r *Resource) String() string {
	kind := "Application"
	switch r.kind {
	case configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION:
		kind = "Kustomization"
	case configv1.GitopsResource_KIND_FLUX_HELM_RELEASE:
		kind = "HelmRelease"
	case configv1.GitopsResource_KIND_ARGOCD_APPLICATION, configv1.GitopsResource_KIND_UNSPECIFIED:
	}
	return kind + " " + r.namespace.Name + "/" + r.name
}

func (r *Resource) at() schema.GroupVersionResource {
	switch r.kind {
	case configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION:
		return kustomizations
	case configv1.GitopsResource_KIND_FLUX_HELM_RELEASE:
		return helmReleases
	case configv1.GitopsResource_KIND_ARGOCD_APPLICATION, configv1.GitopsResource_KIND_UNSPECIFIED:
	}
	return applications
}

// Look reads what the resource says. An error wraps ErrNotFollowing where no commit will reach
// it; what may pass is tried again for a minute.
func (r *Resource) Look(ctx context.Context) (Seen, error) {
	seen, err := r.look(ctx)
	if err != nil {
		return seen, fmt.Errorf("%s: %w", r, err)
	}
	return seen, nil
}

func (r *Resource) look(ctx context.Context) (Seen, error) {
	found, err := r.get(ctx, r.at(), r.namespace.Name, r.name)
	if err != nil {
		return Seen{}, err
	}
	if r.kind == configv1.GitopsResource_KIND_ARGOCD_APPLICATION {
		return application(found, r.source)
	}
	namespace, name, err := sourceOf(found)
	if err != nil {
		return Seen{}, err
	}
	repository, err := r.get(ctx, gitRepositories, namespace, name)
	if err != nil {
		return Seen{}, fmt.Errorf("its GitRepository %s/%s: %w", namespace, name, err)
	}
	if err := gitRepository(repository, r.source); err != nil {
		return Seen{}, fmt.Errorf("its GitRepository %s/%s: %w", namespace, name, err)
	}
	if r.kind == configv1.GitopsResource_KIND_FLUX_KUSTOMIZATION {
		return kustomization(found, repository, r.source)
	}
	return helmRelease(found, repository, r.source)
}

// get reads one object.
func (r *Resource) get(ctx context.Context, of schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	server, err := r.namespace.Open()
	if err != nil {
		return nil, err
	}
	var found *unstructured.Unstructured
	err = cluster.Again(ctx, func() (bool, error) {
		found, err = server.In(namespace, of).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, fmt.Errorf("is not there: %w", driver.ErrInvalid)
		}
		return err == nil, err
	})
	if err != nil {
		return nil, err
	}
	if found.GetDeletionTimestamp() != nil {
		return nil, fmt.Errorf("is being deleted: %w", ErrNotFollowing)
	}
	return found, nil
}

// Ask has the controllers look at the repository now, by the annotation that they have for it. It
// needs the right to patch the resource and, with Flux, its GitRepository.
func (r *Resource) Ask(ctx context.Context, now time.Time) error {
	if err := r.ask(ctx, now); err != nil {
		return fmt.Errorf("ask %s to look: %w", r, err)
	}
	return nil
}

func (r *Resource) ask(ctx context.Context, now time.Time) error {
	if r.kind == configv1.GitopsResource_KIND_ARGOCD_APPLICATION {
		return r.annotate(ctx, applications, r.namespace.Name, r.name, "argocd.argoproj.io/refresh", "normal")
	}
	found, err := r.get(ctx, r.at(), r.namespace.Name, r.name)
	if err != nil {
		return err
	}
	namespace, name, err := sourceOf(found)
	if err != nil {
		return err
	}
	// What follows the repository is woken by it when there is another commit.
	return r.annotate(ctx, gitRepositories, namespace, name, "reconcile.fluxcd.io/requestedAt", now.UTC().Format(time.RFC3339Nano))
}

func (r *Resource) annotate(ctx context.Context, of schema.GroupVersionResource, namespace, name, annotation, value string) error {
	server, err := r.namespace.Open()
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotation: value}}})
	if err != nil {
		return err
	}
	return cluster.Again(ctx, func() (bool, error) {
		_, err := server.In(namespace, of).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: cluster.Manager})
		return err == nil, err
	})
}

// takes says whether a resource that reads one folder of a repository reads anything of another:
// one lies in the other, or is it.
func takes(theirs, ours string) bool {
	theirs, ours = clean(theirs), clean(ours)
	return within(ours, theirs) || within(theirs, ours)
}

func clean(p string) string { return path.Clean(strings.TrimPrefix(path.Clean("/"+p), "/")) }

func within(inner, outer string) bool {
	return outer == "." || inner == outer || strings.HasPrefix(inner, outer+"/")
}

// scp is an address of a repository as ssh has it: git@example.com:shop/deploy.git.
var scp = regexp.MustCompile(`^(?:[^@/]+@)?([^:/@]+):([^/].*|/[^/].*)$`)

// sameURL says whether two URLs are of one repository, however each of them is reached.
func sameURL(a, b string) bool { return normal(a) == normal(b) }

func normal(url string) string {
	if scheme, rest, ok := strings.Cut(url, "://"); ok && scheme != "" {
		host, place, _ := strings.Cut(rest, "/")
		host = host[strings.LastIndex(host, "@")+1:]
		for _, port := range []string{":22", ":443", ":80"} {
			host = strings.TrimSuffix(host, port)
		}
		url = strings.ToLower(host) + "/" + place
	} else if m := scp.FindStringSubmatch(url); m != nil {
		url = strings.ToLower(m[1]) + "/" + strings.TrimPrefix(m[2], "/")
	}
	return strings.TrimSuffix(strings.TrimRight(url, "/"), ".git")
}

// known says whether a URL is one of the source's.
func (s Source) known(url string) bool {
	for _, u := range s.URLs {
		if sameURL(u, url) {
			return true
		}
	}
	return false
}

// shown is a URL without who we are there.
func shown(url string) string { return oneLine(cluster.Address(url)) }

// notFollowing is an error that wraps ErrNotFollowing.
func notFollowing(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrNotFollowing)
}

// maxLine bounds what is said of a resource's own words, in bytes.
const maxLine = 300

// oneLine is a text of somebody else's as a part of a line of ours.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	text = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\u2028' || c == '\u2029' {
			return '?'
		}
		return c
	}, text)
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + "…"
	}
	return text
}

func text(o map[string]any, fields ...string) string {
	value, _, _ := unstructured.NestedString(o, fields...)
	return value
}

func truth(o map[string]any, fields ...string) bool {
	value, _, _ := unstructured.NestedBool(o, fields...)
	return value
}

// list are the objects of a list; what is none of them is left out.
func list(o map[string]any, fields ...string) []map[string]any {
	all, _, _ := unstructured.NestedSlice(o, fields...)
	var out []map[string]any
	for _, one := range all {
		if fields, ok := one.(map[string]any); ok {
			out = append(out, fields)
		}
	}
	return out
}
