package metrics_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/metrics"
)

func tlsOf(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }

func TestASourceThatCannotBeAskedIsNamed(t *testing.T) {
	secret := func(text string, mode os.FileMode) string {
		path := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, broken, exposed := secret("s3cret", 0o600), secret("s3cret\nX-Other: 1", 0o600), secret("s3cret", 0o644)
	file := func(name, path string) *configv1.MetricHeader {
		return &configv1.MetricHeader{Name: name, From: &configv1.MetricHeader_ValueFile{ValueFile: path}}
	}
	plain := func(name, value string) *configv1.MetricHeader {
		return &configv1.MetricHeader{Name: name, From: &configv1.MetricHeader_Value{Value: value}}
	}
	const secure = "https://prometheus.shop.example/below"
	for _, test := range []struct {
		name string
		cfg  *configv1.MetricSource
		// want is what the error says, empty where all is well.
		want []string
	}{
		{"everything", &configv1.MetricSource{Url: secure, TokenFile: good, Headers: []*configv1.MetricHeader{plain("X-Scope-OrgID", "shop"), file("X-Secret", good)}}, nil},
		{"no more than needed", &configv1.MetricSource{Url: "http://prometheus:9090"}, nil},
		{"a password of another kind", &configv1.MetricSource{Url: secure, Headers: []*configv1.MetricHeader{file("Authorization", good)}}, nil},
		{"no URL", &configv1.MetricSource{Url: "prometheus:9090"}, []string{"metric_sources[0].url: scheme"}},
		{"a password in the URL", &configv1.MetricSource{Url: "https://me:s3cret@prometheus"}, []string{"metric_sources[0].url: must not hold a user"}},
		{"a query in the URL", &configv1.MetricSource{Url: "https://prometheus/?token=s3cret"}, []string{"metric_sources[0].url: must be"}},
		{"the metadata service", &configv1.MetricSource{Url: "http://169.254.169.254/"}, []string{"metric_sources[0].url: address must not be reached"}},
		{"a token in plain text", &configv1.MetricSource{Url: "http://prometheus:9090", TokenFile: good}, []string{"metric_sources[0].token_file: it is not sent over plain HTTP"}},
		{"a secret header in plain text", &configv1.MetricSource{Url: "http://prometheus:9090", Headers: []*configv1.MetricHeader{file("X-Secret", good)}}, []string{"metric_sources[0].headers[0].value_file: it is not sent"}},
		{"a token that is not there", &configv1.MetricSource{Url: secure, TokenFile: "/none"}, []string{"metric_sources[0].token_file: read secret"}},
		{"a token that everybody reads", &configv1.MetricSource{Url: secure, TokenFile: exposed}, []string{"metric_sources[0].token_file: ", "open to everyone"}},
		{"a token that is two headers", &configv1.MetricSource{Url: secure, TokenFile: broken}, []string{"metric_sources[0].token_file: it holds what no header can hold"}},
		{"a value that is two headers", &configv1.MetricSource{Url: secure, Headers: []*configv1.MetricHeader{plain("X-A", "a\r\nb")}}, []string{"metric_sources[0].headers[0].value: it holds"}},
		{"a password in the configuration", &configv1.MetricSource{Url: secure, Headers: []*configv1.MetricHeader{plain("authorization", "Basic x")}}, []string{"metric_sources[0].headers[0].value: authorization is a secret"}},
		{"a password beside a token", &configv1.MetricSource{Url: secure, TokenFile: good, Headers: []*configv1.MetricHeader{file("authorization", good)}}, []string{"metric_sources[0].headers[0].name: authorization is there already"}},
		{"another host", &configv1.MetricSource{Url: secure, Headers: []*configv1.MetricHeader{plain("X-A", "a"), plain("Host", "b")}}, []string{"metric_sources[0].headers[1].name: Host is not for a configuration"}},
		{"a header for a proxy", &configv1.MetricSource{Url: secure, Headers: []*configv1.MetricHeader{file("Proxy-Authorization", good)}}, []string{"metric_sources[0].headers[0].name: Proxy-Authorization is not"}},
		{"a header twice", &configv1.MetricSource{Url: secure, Headers: []*configv1.MetricHeader{plain("X-A", "a"), plain("x-a", "b")}}, []string{"metric_sources[0].headers[1].name: x-a is there already"}},
		{"an authority that is not there", &configv1.MetricSource{Url: secure, Tls: &configv1.Tls{CaFile: "/none"}}, []string{"metric_sources[0].tls: "}},
		{
			"everything at once", &configv1.MetricSource{Url: "ftp://x", TokenFile: "/none", Headers: []*configv1.MetricHeader{plain("Host", "b")}},
			[]string{"metric_sources[0].url: ", "metric_sources[0].token_file: ", "metric_sources[0].headers[0].name: "},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.cfg.Name = "metrics"
			all, err := metrics.Open([]*configv1.MetricSource{test.cfg}, nil, nil)
			if (err == nil) != (test.want == nil) || err == nil && all["metrics"].URL() != test.cfg.GetUrl() {
				t.Fatalf("%v, %v", all, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
	twice := []*configv1.MetricSource{{Name: "a", Url: secure}, {Name: "a", Url: secure}}
	if _, err := metrics.Open(twice, nil, nil); err == nil || !strings.Contains(err.Error(), "metric_sources[1].name: a is there already") {
		t.Errorf("a name twice: %v", err)
	}
}
