package cluster

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"testing"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

func planOf(release, target, digest string) driver.Plan {
	return driver.Plan{Release: release, Target: target, Version: "2.0.0", Artifact: artifact.New(&releasev1.Artifact{Name: "shop", Digest: digest}, 0, nil)}
}

// A digest of each value by itself would tell what a short secret is, and which are equal.
func TestWhoReadsADifferenceCannotTrySecretsOneByOne(t *testing.T) {
	const is = `{"data": {"pin": {"token": "0000"}, "password": "4711"}}`
	const would = `{"data": {"pin": {"token": "4711"}, "password": "4711x"}}`
	shown := func(plan driver.Plan, would string) string {
		veil := NewVeil(plan)
		return differences("ConfigMap shop", tree(t, is), tree(t, would), nil, veil) + veil.line()
	}
	plan := planOf("one", "shop", "sha256:aa")
	got := shown(plan, would)
	for pin := range 10_000 {
		for _, text := range []string{fmt.Sprintf("%04d", pin), fmt.Sprintf(`"%04d"`, pin)} {
			if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text))); strings.Contains(got, sum[:12]) {
				t.Fatalf("the digest of %s is shown: %s", text, got)
			}
		}
	}
	want := regexp.MustCompile(`^  data\.password: a secret -> a secret\n  data\.pin\.token: a secret -> a secret\nhidden: 4 values, together argon2id:[0-9a-f]{32}\n$`)
	if !want.MatchString(got) {
		t.Errorf("got %q", got)
	}
	if again := shown(plan, would); again != got {
		t.Errorf("the preview has %q, and the start %q", got, again)
	}
	for name, other := range map[string]string{
		"another release":  shown(planOf("two", "shop", "sha256:aa"), would),
		"another target":   shown(planOf("one", "shop-2", "sha256:aa"), would),
		"another artifact": shown(planOf("one", "shop", "sha256:bb"), would),
		"another secret":   shown(plan, strings.Replace(would, "4711x", "4711y", 1)),
	} {
		if other == got {
			t.Errorf("%s has the same digest", name)
		}
	}
}

// What is hidden counts in its place and on its side, however it is cut.
func TestNoTwoVeilsHideTheSameByWhatTheyAreMadeOf(t *testing.T) {
	sums := map[string]string{}
	for name, hidden := range map[string][][]string{
		"two":       {{"a", "b"}, {"c"}},
		"one":       {{"a", "b", "c"}},
		"otherwise": {{"a"}, {"b", "c"}},
		"joined":    {{"ab", "c"}},
		"turned":    {{"c"}, {"a", "b"}},
	} {
		veil := NewVeil(driver.Plan{})
		for _, parts := range hidden {
			veil.Hide(parts...)
		}
		if other, twice := sums[veil.Sum()]; twice {
			t.Errorf("%s is %s", name, other)
		}
		sums[veil.Sum()] = name
	}
	if veil := NewVeil(driver.Plan{}); veil.Sum() != "" || veil.line() != "" {
		t.Errorf("nothing is %q", veil.line())
	}
}
