package kubecheck

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/blackdice/shipwarden/internal/shaketest"
	"github.com/blackdice/shipwarden/services/validator/check"
)

// TestWhatLooksLikeASecret: what gives a secret a value is found by its name or its form, and what
// says where one is, or how it is used, is none.
func TestWhatLooksLikeASecret(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"DB_PASSWORD", "hunter2", "a secret by its name"},
		{"password", "hunter2", "a secret by its name"},
		{"spring.datasource.password", "hunter2", "a secret by its name"},
		{"apiKey", "hunter2", "a secret by its name"},
		{"AWS_SECRET_ACCESS_KEY", "hunter2", "a secret by its name"},
		{"CREDENTIALS", "hunter2", "a secret by its name"},
		{"X", "-----BEGIN RSA PRIVATE KEY-----\nabc", "a private key"},
		{"X", "id AKIAABCDEFGHIJKLMNOP", "a key of AWS"},
		{"X", "ghp_" + strings.Repeat("a", 36), "a token of GitHub"},
		{"X", "glpat-" + strings.Repeat("a", 20), "a token of GitLab"},
		{"X", "xoxb-1234567890", "a token of Slack"},
		{"X", "AIza" + strings.Repeat("a", 35), "a key of Google"},
		{"X", "sk_live_" + strings.Repeat("a", 16), "a key of Stripe"},
		{"X", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "a JSON Web Token"},
		{"X", "postgres://shop:hunter2@db/shop", "a password in a URL"},
		{"app.properties", "user=shop\ndb.password=hunter2\n", "it has a line that gives a secret a value"},
		{"app.yaml", "db:\n  password: 'hunter2'\n", "it has a line that gives a secret a value"},
		{"app.json", "{\n  \"clientSecret\": \"hunter2\"\n}", "it has a line that gives a secret a value"},
		{"run.sh", "export TOKEN=hunter2\n", "it has a line that gives a secret a value"},

		{"DB_PASSWORD", "", ""},
		{"DB_PASSWORD", "$(PASSWORD)", ""},
		{"DB_PASSWORD", "${PASSWORD}", ""},
		{"TOKEN", "/run/secrets/token", ""},
		{"TOKEN_URL", "https://login.example/token", ""},
		{"SECRET_NAME", "shop", ""},
		{"PASSWORD_FILE", "/run/secrets/password", ""},
		{"TOKENIZER", "words", ""},
		{"app.yaml", "password: ${PASSWORD}\ntoken_url: https://login.example\nsecretName: shop\n", ""},
		{"DB", "postgres://shop:$(PASSWORD)@db/shop", ""},
		{"DB", "postgres://db:5432/shop", ""},
		{"CA", "-----BEGIN CERTIFICATE-----\nabc", ""},
	} {
		if got := looksSecret(test.name, test.value); got != test.want {
			t.Errorf("%s=%s looks like %q, want %q", test.name, test.value, got, test.want)
		}
	}
}

// TestASecretInAnArgumentIsFound by the flag that it is given to as well, whose name can be allowed.
func TestASecretInAnArgumentIsFound(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"serve", "--db-password=hunter2"}, "db-password"},
		{[]string{"--db-password", "hunter2", "serve"}, "db-password"},
		{[]string{"-token", "hunter2"}, "token"},
		{[]string{"--api_key='hunter2'"}, "api_key"},
		{[]string{"DB_PASSWORD=hunter2"}, "args"},
		{[]string{"-c", "cd /srv\nexport TOKEN=hunter2\nexec shop"}, "args"},
		{[]string{"--db=postgres://shop:hunter2@db/shop"}, "args"},
		{[]string{"--password-file=/run/secrets/password"}, ""},
		{[]string{"--token=$(TOKEN)", "--password", "/run/secrets/password"}, ""},
		{[]string{"--token", "--verbose", "--password"}, ""},
		{[]string{"rotate", "token", "all"}, ""},
	} {
		l := look{found: &check.Inspected{}}
		if err := l.secrets(t.Context(), []corev1.Pod{{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Command: []string{"shop"}, Args: test.args}}}}}); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, f := range l.found.Facts {
			got += f.Name
			if strings.Contains(f.Object+f.Name+f.Value, "hunter2") {
				t.Errorf("%q: a secret is in %+v", test.args, f)
			}
		}
		if got != test.want {
			t.Errorf("%q: found in %q, want %q", test.args, got, test.want)
		}
	}
}

// TestTheDigestOfWhatRuns is read from whatever a node says.
func TestTheDigestOfWhatRuns(t *testing.T) {
	sum := "sha256:" + strings.Repeat("a", 64)
	for id, want := range map[string]string{
		"registry.example/shop@" + sum: sum, "docker-pullable://registry.example:5000/shop@" + sum: sum, sum: sum,
		"registry.example/shop:1.0.0": "", "": "", "sha256:abc": "", "registry.example/shop@" + sum + "0": "", "registry.example/shop:" + sum: "",
	} {
		got := ""
		if found := digest.FindStringSubmatch(id); found != nil {
			got = found[1]
		}
		if got != want {
			t.Errorf("%q runs %q, want %q", id, got, want)
		}
	}
}

// FuzzLooksSecret: whatever is in a ConfigMap, the words say nothing of it.
func FuzzLooksSecret(f *testing.F) {
	for _, seed := range []string{"password: hunter2hunter2", "-----BEGIN PRIVATE KEY-----\nabc", "postgres://a:b@c", `{"token": "abc"}`} {
		shaketest.Add(f, []byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		what := looksSecret("settings", string(value))
		if what != "" && !strings.HasPrefix(what, "a ") && what != "it has a line that gives a secret a value" {
			t.Errorf("it says %q", what)
		}
	})
}

// TestASecretInAConfigMapIsFoundByItsVariable, whatever its key is called: the name of the variable is
// the one that is allowed, too.
func TestASecretInAConfigMapIsFoundByItsVariable(t *testing.T) {
	l := look{found: &check.Inspected{}}
	l.values("ConfigMap/shop", map[string]string{"a": "hunter2", "b": "hunter2", "c": "/run/secrets/c", "token": "hunter2"}, variables{
		"a": {"DB_PASSWORD", "NAME", "DB_PASSWORD"}, "c": {"DB_PASSWORD"}, "token": {"DB_PASSWORD"}, "missing": {"DB_PASSWORD"},
	})
	var got []string
	for _, f := range l.found.Facts {
		got = append(got, f.Object+": "+f.Name+" "+f.Value)
	}
	want := []string{
		"ConfigMap/shop: DB_PASSWORD is the variable that has a and looks like a secret by its name",
		"ConfigMap/shop: token looks like a secret by its name",
	}
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
