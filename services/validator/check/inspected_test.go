package check_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/blackdice/shipwarden/internal/criterion"
	"github.com/blackdice/shipwarden/internal/evidence"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/validator/check"
	"github.com/blackdice/shipwarden/services/validator/target"
)

var (
	began = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	good  = "sha256:" + strings.Repeat("a", 64)
	alien = "sha256:" + strings.Repeat("b", 64)
)

func digits(d string) string { return strings.Repeat(d, 64) }

// control is a check of one control.
func control(set func(*releasev1.KubernetesSecurityProbe)) *releasev1.Check {
	p := &releasev1.KubernetesSecurityProbe{Workloads: &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}}}
	set(p)
	return &releasev1.Check{Name: "security", Probe: &releasev1.Check_KubernetesSecurity{KubernetesSecurity: p}}
}

func images(also ...string) *releasev1.Check {
	return control(func(p *releasev1.KubernetesSecurityProbe) {
		p.ImageDigests = &releasev1.KubernetesImageControl{Also: also}
	})
}

func rollout(reasons ...string) *releasev1.Check {
	return &releasev1.Check{Name: "rollout", Probe: &releasev1.Check_KubernetesRollout{KubernetesRollout: &releasev1.KubernetesRolloutProbe{
		Workloads: &releasev1.KubernetesWorkloads{Labels: map[string]string{"app": "shop"}}, MaxRestarts: proto.Uint32(1), NoEvents: reasons,
	}}}
}

func account(digest string, allowed ...*releasev1.KubernetesRight) *releasev1.Check {
	return control(func(p *releasev1.KubernetesSecurityProbe) {
		p.ServiceAccount = &releasev1.KubernetesAccountControl{RightsDigest: digest, Allowed: allowed}
	})
}

// TestOfWhatWasFoundOnlyAllThatIsWellPasses: each control, by facts that a cluster may have.
func TestOfWhatWasFoundOnlyAllThatIsWellPasses(t *testing.T) {
	fact := func(object, name, value string) check.Fact {
		return check.Fact{Object: object, Name: name, Value: value}
	}
	exposed := func(allowed ...*releasev1.KubernetesExposure) *releasev1.Check {
		return control(func(p *releasev1.KubernetesSecurityProbe) {
			p.Exposure = &releasev1.KubernetesExposureControl{Allowed: allowed}
		})
	}
	pods := control(func(p *releasev1.KubernetesSecurityProbe) {
		p.PodSecurity = &releasev1.KubernetesPodControl{
			Level: releasev1.KubernetesPodControl_LEVEL_RESTRICTED, Enforced: releasev1.KubernetesPodControl_LEVEL_BASELINE,
		}
	})
	network := control(func(p *releasev1.KubernetesSecurityProbe) {
		p.NetworkPolicy = &releasev1.KubernetesNetworkControl{Ingress: true}
	})
	plain := control(func(p *releasev1.KubernetesSecurityProbe) {
		p.PlainSecrets = &releasev1.KubernetesSecretControl{Allowed: []string{"CSRF_TOKEN"}}
	})
	read := &releasev1.KubernetesRight{Resource: "configmaps", Verbs: []string{"get", "list"}}
	current, generation := fact("Deployment/shop", "status", "Current"), fact("Deployment/shop", "generation", "3 of 3")
	event := func(at time.Time) check.Fact { return fact("Pod/shop-1", "event BackOff", at.Format(time.RFC3339Nano)) }
	tagged := fact("Pod/shop-1", "image of container web", "")
	for _, test := range []struct {
		name  string
		check *releasev1.Check
		facts []check.Fact
		want  check.Outcome
	}{
		{"rolled out", rollout("BackOff"), []check.Fact{current, generation, fact("Pod/a", "restarts of container web", "1"), event(began.Add(-time.Second))}, check.Passed},
		{"in progress", rollout(), []check.Fact{fact("Deployment/shop", "status", "InProgress: 1 of 2"), generation}, check.Failed},
		{"not there", rollout(), []check.Fact{fact("Deployment/shop", "status", "NotFound")}, check.Failed},
		{"an older generation was seen", rollout(), []check.Fact{current, fact("Deployment/shop", "generation", "2 of 3")}, check.Failed},
		{"no generation", rollout(), []check.Fact{current, fact("Deployment/shop", "generation", "3")}, check.Failed},
		{"started again too often", rollout(), []check.Fact{current, fact("Pod/a", "restarts of container web", "2")}, check.Failed},
		{"started again so often", rollout(), []check.Fact{current, fact("Pod/a", "restarts of container web", "often")}, check.Error},
		{"a warning", rollout("BackOff"), []check.Fact{current, event(began)}, check.Failed},
		{"a warning of whenever", rollout("BackOff"), []check.Fact{current, fact("Pod/a", "event BackOff", "yesterday")}, check.Error},
		{"a fact that nobody knows", rollout(), []check.Fact{current, fact("Deployment/shop", "mood", "good")}, check.Error},

		{"approved images", images(alien), []check.Fact{fact("Pod/a", "image of container web", good), fact("Pod/a", "image of init container up", alien)}, check.Passed},
		{"another image", images(), []check.Fact{fact("Pod/a", "image of container web", good), fact("Pod/b", "image of ephemeral container debug", alien)}, check.Failed},
		{"no digest", images(), []check.Fact{tagged}, check.Error},
		{"no digest, and another image", images(), []check.Fact{tagged, fact("Pod/b", "image of container web", alien)}, check.Failed},

		{"pods as they should be", pods, []check.Fact{fact("Namespace/shop", "enforces", "restricted")}, check.Passed},
		{"it enforces less", pods, []check.Fact{fact("Namespace/shop", "enforces", "privileged")}, check.Failed},
		{"it enforces what nobody knows", pods, []check.Fact{fact("Namespace/shop", "enforces", "strict")}, check.Failed},
		{"a privileged pod", pods, []check.Fact{fact("Namespace/shop", "enforces", "baseline"), fact("Pod/a", "privileged", `container "web" must not set securityContext.privileged=true`)}, check.Failed},

		{"covered", network, []check.Fact{fact("Pod/a", "ingress", "by default-deny")}, check.Passed},
		{"not covered", network, []check.Fact{fact("Pod/a", "ingress", "by default-deny"), fact("Pod/b", "ingress", "has no policy")}, check.Failed},
		{"covered by one that is open", network, []check.Fact{fact("Pod/a", "ingress", "is open by all")}, check.Failed},

		{"nothing exposed", exposed(), nil, check.Passed},
		{"exposed", exposed(), []check.Fact{fact("Service/shop", "type", "LoadBalancer")}, check.Failed},
		{"exposed, as allowed", exposed(&releasev1.KubernetesExposure{Kind: "Service", Name: "shop"}), []check.Fact{fact("Service/shop", "type", "NodePort")}, check.Passed},
		{"exposed by another kind", exposed(&releasev1.KubernetesExposure{Kind: "Service", Name: "shop"}), []check.Fact{fact("Ingress/shop", "host", "a")}, check.Failed},
		{"a host that is allowed", exposed(&releasev1.KubernetesExposure{Kind: "Ingress", Name: "shop", Hosts: []string{"a"}}), []check.Fact{fact("Ingress/shop", "host", "a")}, check.Passed},
		{"another host", exposed(&releasev1.KubernetesExposure{Kind: "Ingress", Name: "shop", Hosts: []string{"a"}}), []check.Fact{fact("Ingress/shop", "host", "a"), fact("Ingress/shop", "host", "*")}, check.Failed},

		{"no rights", account(""), []check.Fact{fact("ServiceAccount/shop", "rights", good)}, check.Passed},
		{"the rights of the digest", account(good), []check.Fact{fact("ServiceAccount/shop", "rights", good), fact("ServiceAccount/shop", "right", "get secrets in HERE")}, check.Passed},
		{"other rights", account(good), []check.Fact{fact("ServiceAccount/shop", "rights", alien)}, check.Failed},
		{"a wildcard that the digest holds", account(good), []check.Fact{fact("ServiceAccount/shop", "rights", good), fact("ServiceAccount/shop", "right", "* secrets in HERE")}, check.Failed},
		{"a wildcard of resources", account("", read), []check.Fact{fact("ServiceAccount/shop", "right", "get *.* in *")}, check.Failed},
		{"every path", account(good), []check.Fact{fact("ServiceAccount/shop", "right", "get path /*")}, check.Failed},
		{"among the allowed", account("", read), []check.Fact{fact("ServiceAccount/shop", "right", "get,list configmaps in HERE"), fact("ServiceAccount/shop", "right", "get configmaps named a in HERE")}, check.Passed},
		{"one verb more", account("", read), []check.Fact{fact("ServiceAccount/shop", "right", "get,update configmaps in HERE")}, check.Failed},
		{"everywhere", account("", read), []check.Fact{fact("ServiceAccount/shop", "right", "get configmaps in *")}, check.Failed},
		{"of another group", account("", read), []check.Fact{fact("ServiceAccount/shop", "right", "get configmaps.example.org in HERE")}, check.Failed},
		{"with every name", account("", &releasev1.KubernetesRight{Resource: "configmaps", Verbs: []string{"get"}, Name: "a"}), []check.Fact{fact("ServiceAccount/shop", "right", "get configmaps in HERE")}, check.Failed},
		{"a right that cannot be read", account(""), []check.Fact{fact("ServiceAccount/shop", "right", "whatever")}, check.Error},

		{"no secret", plain, nil, check.Passed},
		{"a name that is allowed", plain, []check.Fact{fact("Pod/a", "CSRF_TOKEN", "looks like a secret by its name")}, check.Passed},
		{"a secret", plain, []check.Fact{fact("ConfigMap/a", "password", "looks like a secret by its name")}, check.Failed},
	} {
		t.Run(test.name, func(t *testing.T) {
			known := check.Known{Images: []string{good}, Since: began}
			judge := func(i *check.Inspected) check.Outcome { return check.JudgeInspected(test.check, known, i).Outcome }
			if got := check.JudgeInspected(test.check, known, &check.Inspected{Objects: 1, Facts: test.facts}); got.Outcome != test.want {
				t.Errorf("it %s (%s), want %s", got.Outcome, got.Detail, test.want)
			}
			// What is not known takes a pass away, and no failure.
			want := test.want
			if want == check.Passed {
				want = check.Error
			}
			for name, i := range map[string]*check.Inspected{
				"nothing was there": {Facts: test.facts}, "no right": {Objects: 1, Facts: test.facts, Unknown: "forbidden"},
			} {
				if got := judge(i); got != want {
					t.Errorf("%s: it %s, want %s", name, got, want)
				}
			}
			if got := judge(&check.Inspected{Objects: 1, Facts: test.facts, More: 1}); got != want && test.check.GetKubernetesSecurity().GetServiceAccount().GetRightsDigest() == "" {
				t.Errorf("more than was kept: it %s, want %s", got, want)
			}
		})
	}
	if got := check.JudgeInspected(images(), check.Known{}, &check.Inspected{Objects: 1, Facts: []check.Fact{fact("Pod/a", "image of container web", good)}}); got.Outcome != check.Error {
		t.Errorf("images of which nobody knows what was approved: it %s (%s)", got.Outcome, got.Detail)
	}
	two := criterion.Each([]*releasev1.Check{images()})[0]
	two.GetKubernetesSecurity().Exposure = &releasev1.KubernetesExposureControl{}
	if got := check.JudgeInspected(two, check.Known{}, &check.Inspected{Objects: 1}); got.Outcome != check.Error {
		t.Errorf("two controls in one: it %s", got.Outcome)
	}
}

// TestAControlCannotBeOutvoted: what other samples say makes up for errors, and for no failure.
func TestAControlCannotBeOutvoted(t *testing.T) {
	c := images()
	c.MinPassRatio = proto.Float64(0.5)
	series := func(word string) (all []check.Sample) {
		for _, letter := range word {
			all = append(all, check.Sample{Outcome: map[rune]check.Outcome{'p': check.Passed, 'f': check.Failed, 'e': check.Error}[letter]})
		}
		return all
	}
	for _, ratio := range []float64{0.01, 0.5} {
		c.MinPassRatio, c.MinSamples = proto.Float64(ratio), proto.Uint32(1)
		for word, want := range map[string]releasev1.CheckResult_Verdict{
			"p": releasev1.CheckResult_VERDICT_PASS, "pe": releasev1.CheckResult_VERDICT_PASS, "pee": releasev1.CheckResult_VERDICT_INCONCLUSIVE,
			"peeeeeeeeeeeeeeeeeee": releasev1.CheckResult_VERDICT_INCONCLUSIVE,
		} {
			if got := check.Judge(c, series(word)); got.GetVerdict() != want {
				t.Errorf("%q of which %v must pass: %s (%s)", word, ratio, got.GetVerdict(), got.GetReason())
			}
		}
	}
	c.MinPassRatio, c.MinSamples = proto.Float64(0.5), nil
	for word, want := range map[string]releasev1.CheckResult_Verdict{
		"ppppp": releasev1.CheckResult_VERDICT_PASS, "ppppe": releasev1.CheckResult_VERDICT_PASS, "pppee": releasev1.CheckResult_VERDICT_PASS,
		"peeee": releasev1.CheckResult_VERDICT_INCONCLUSIVE, "eeeee": releasev1.CheckResult_VERDICT_INCONCLUSIVE, "": releasev1.CheckResult_VERDICT_INCONCLUSIVE,
		"ppppf": releasev1.CheckResult_VERDICT_FAIL, "f": releasev1.CheckResult_VERDICT_FAIL, "eeeef": releasev1.CheckResult_VERDICT_FAIL,
	} {
		if got := check.Judge(c, series(word)); got.GetVerdict() != want {
			t.Errorf("%q: %s (%s)", word, got.GetVerdict(), got.GetReason())
		}
	}
}

// cluster finds the same at every look, until a time.
type cluster struct {
	found func() *check.Inspected
}

func (c cluster) Probe(context.Context, *target.Target, *releasev1.Check) check.Observation {
	return check.Observation{Inspected: c.found()}
}

func (cluster) Place(name string) string { return "https://" + name + ":6443" }

// TestWhatWasFoundIsJudgedAgain: the outcome of each sample is derived again from its facts, and
// facts that were changed, or images that were not approved, are found out.
func TestWhatWasFoundIsJudgedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		place, err := target.New(&configv1.TargetAddress{Target: "eu1", Kubernetes: &configv1.KubernetesPlace{Cluster: "eu", Namespace: "shop"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := func() *check.Inspected {
			i := &check.Inspected{Objects: 2, Asked: time.Now()}
			for n := range 50 {
				i.Facts = append(i.Facts, check.Fact{Object: fmt.Sprintf("Pod/shop-%d and \"more\"", n), Name: "image of container web", Value: good})
			}
			i.Facts[49].Value = alien
			return i
		}
		release := check.Release{Began: map[string]time.Time{"eu1": began}, Images: map[string][]string{"eu1": {good}}}
		p := check.Plan{
			Release: release, Subjects: []check.Subject{{Target: place, Digest: approved}}, Bake: 10 * time.Second, Interval: time.Second,
			Checks: criterion.Each([]*releasev1.Check{rollout("BackOff"), images()}),
		}
		bake := newWorld("").Bake()
		bake.Probers = map[string]check.Prober{
			"kubernetes_security": cluster{found},
			"kubernetes_rollout": cluster{func() *check.Inspected {
				return &check.Inspected{Objects: 1, Asked: time.Now(), Facts: []check.Fact{{Object: "Deployment/shop", Name: "status", Value: "Current"}}}
			}},
		}
		report, err := bake.Run(t.Context(), p)
		if err != nil || report.Verdict != releasev1.CheckResult_VERDICT_FAIL || !strings.Contains(report.Verification.GetReason(), "security.image_digests on eu1") {
			t.Fatalf("%s: %s, %v", report.Verdict, report.Verification.GetReason(), err)
		}
		targets := []check.Approved{{Target: "eu1", Digest: approved}}
		again, err := check.Rejudge(report.Document, release, p.Checks, targets)
		if err != nil || !proto.Equal(again, report.Verification) {
			t.Fatalf("derived again: %v, %v", again, err)
		}
		for _, part := range []string{`"server":"https://eu:6443"`, `"namespace":"shop"`, `"approved_images":["` + good, `"since":"2026-11-29T12:00:00Z"`, `"more":10`} {
			if !bytes.Contains(report.Document, []byte(part)) {
				t.Errorf("the evidence does not say %s", part)
			}
		}
		for name, change := range map[string][2]string{
			"an image was replaced":   {digits("b"), digits("a")},
			"another one is approved": {`"approved_images":["` + good, `"approved_images":["` + other},
			"none is approved":        {`"approved_images":["` + good + `"]`, `"approved_images":null`},
			"it began later":          {`"since":"2026-11-29T12:00:00Z"`, `"since":"2026-11-29T12:30:00Z"`},
			"it never began":          {`,"since":"2026-11-29T12:00:00Z"`, ``},
			"it is not in progress":   {`"value":"Current"`, `"value":"InProgress"`},
			"nothing was looked at":   {`"objects":1`, `"objects":0`},
			"the detail is another":   {"not approved: ", "well approved: "},
		} {
			changed := bytes.ReplaceAll(report.Document, []byte(change[0]), []byte(change[1]))
			if _, err := check.Rejudge(changed, release, p.Checks, targets); !errors.Is(err, check.ErrDocument) || bytes.Equal(changed, report.Document) {
				t.Errorf("%s: %v", name, err)
			}
		}
		// On the way back the images are not those of the release; which they are is in the evidence.
		release.Images, release.Back = nil, began.Add(time.Hour)
		if p.Release = release; release.Images == nil {
			p.Release.Images = map[string][]string{"eu1": {good, alien}}
		}
		p.Start = time.Time{}
		if report, err = bake.Run(t.Context(), p); err != nil || report.Verdict == releasev1.CheckResult_VERDICT_FAIL {
			t.Fatalf("%s: %s, %v", report.Verdict, report.Verification.GetReason(), err)
		}
		if again, err = check.Rejudge(report.Document, release, p.Checks, targets); err != nil || !proto.Equal(again, report.Verification) {
			t.Fatalf("derived again on the way back: %v, %v", again, err)
		}
	})
}

// TestWhatIsFoundIsKeptInTheRoomThatThereIs: however long the names of a cluster are, a bake of all
// controls on many targets is a document that can be kept.
func TestWhatIsFoundIsKeptInTheRoomThatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var subjects []check.Subject
		for n := range 8 {
			place, err := target.New(&configv1.TargetAddress{Target: fmt.Sprintf("eu%d", n), Kubernetes: &configv1.KubernetesPlace{Cluster: "eu", Namespace: "shop"}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			subjects = append(subjects, check.Subject{Target: place, Digest: approved})
		}
		long := strings.Repeat("<\u00e4\"", 200)
		bake := newWorld("").Bake()
		bake.Probers = map[string]check.Prober{"kubernetes_security": cluster{func() *check.Inspected {
			i := &check.Inspected{Objects: 2, Asked: time.Now(), Unknown: long}
			for range 60 {
				i.Facts = append(i.Facts, check.Fact{Object: long, Name: long, Value: good})
			}
			return i
		}}}
		report, err := bake.Run(t.Context(), check.Plan{
			Release: check.Release{Images: map[string][]string{}}, Subjects: subjects, Bake: time.Hour, Interval: time.Second,
			Checks: []*releasev1.Check{images(), images(), images()},
		})
		if err != nil || len(report.Document) > evidence.MaxSize || len(report.Document) < evidence.MaxSize/8 {
			t.Errorf("%d bytes, %v", len(report.Document), err)
		}
	})
}
