package criterion_test

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// examples are one check of each kind with everything that it can expect, and its words.
var examples = map[string]struct {
	check *releasev1.Check
	words string
}{
	"http": {&releasev1.Check{Probe: &releasev1.Check_Http{Http: &releasev1.HttpProbe{
		Path: "/health", ExpectStatus: proto.Uint32(204), ExpectBody: "up", Timeout: durationpb.New(2 * time.Second),
		MaxLatency: durationpb.New(300 * time.Millisecond),
		ExpectHeaders: []*releasev1.ExpectedHeader{
			{Name: "X-Frame-Options", Expect: &releasev1.ExpectedHeader_Equals{Equals: "DENY"}},
			{Name: "Cache-Control", Expect: &releasev1.ExpectedHeader_Contains{Contains: "no-store"}},
			{Name: "Server", Expect: &releasev1.ExpectedHeader_Present{}},
		},
		ExpectJson: []*releasev1.ExpectedJson{
			{Pointer: "/status", Expect: &releasev1.ExpectedJson_Text{Text: "a \"b\"\n"}},
			{Pointer: "/n", Expect: &releasev1.ExpectedJson_Number{Number: 0.1}},
			{Pointer: "/ready", Expect: &releasev1.ExpectedJson_Truth{Truth: true}},
			{Pointer: "/depth", Expect: &releasev1.ExpectedJson_Range{Range: &releasev1.NumberRange{Min: proto.Float64(0), Max: proto.Float64(10)}}},
			{Expect: &releasev1.ExpectedJson_Present{Present: true}},
		},
	}}}, `http /health answers 204 with "up", header X-Frame-Options is "DENY", header Cache-Control holds "no-store", ` +
		`header Server is not there, "/status" is "a \"b\"\n", "/n" is 0.1, "/ready" is true, "/depth" is at least 0 and at most 10, ` +
		`the document is there, no answer slower than 300ms, within 2s`},
	"grpc": {&releasev1.Check{Probe: &releasev1.Check_Grpc{Grpc: &releasev1.GrpcProbe{
		Service: "shop.Checkout", Timeout: durationpb.New(time.Second),
	}}}, `grpc service "shop.Checkout" is SERVING within 1s`},
	"dns": {&releasev1.Check{Probe: &releasev1.Check_Dns{Dns: &releasev1.DnsProbe{
		Name: "www.shop.example", Addresses: []string{"192.0.2.1", "2001:db8::1"}, MoreAllowed: true,
	}}}, `dns www.shop.example resolves to 192.0.2.1 and 2001:db8::1 among others within 5s`},
	"tls": {&releasev1.Check{Probe: &releasev1.Check_Tls{Tls: &releasev1.TlsProbe{
		Name: "www.shop.example", MinDays: 14, MinVersion: releasev1.TlsProbe_VERSION_TLS_1_3,
	}}}, `tls certificate of www.shop.example is trusted, for 14 days more, nothing older than TLS 1.3, within 5s`},
	"prometheus": {&releasev1.Check{Probe: &releasev1.Check_Prometheus{Prometheus: &releasev1.PrometheusProbe{
		Source: "metrics", Query: `errors{target="{target}"}`, Range: &releasev1.NumberRange{Max: proto.Float64(0.01)},
		Over: durationpb.New(10 * time.Minute), Step: durationpb.New(30 * time.Second), MinPoints: proto.Uint32(10), MinShare: proto.Float64(0.95),
		MinSeries: proto.Uint32(2), MaxSeries: proto.Uint32(4), MaxAge: durationpb.New(time.Minute), MaxAgeOf: `up{job="shop"}`,
	}}}, `prometheus metrics is asked "errors{target=\"{target}\"}" over 10m0s every 30s, 95% of the values of each series are at most 0.01, ` +
		`there are 2 to 4 series, each has at least 10 of 21 points, none ends more than 1m0s ago, nor do the samples of "up{job=\"shop\"}", within 5s`},
	"logs": {&releasev1.Check{Probe: &releasev1.Check_Logs{Logs: &releasev1.LogProbe{
		Source: "logs", Selector: `{app="{service}"}`, Lines: []*releasev1.LineFilter{
			{Filter: &releasev1.LineFilter_Contains{Contains: `"error"`}},
			{Filter: &releasev1.LineFilter_Lacks{Lacks: "retry"}},
			{Filter: &releasev1.LineFilter_Matches{Matches: "5.."}},
			{Filter: &releasev1.LineFilter_Misses{Misses: "4.."}},
		},
		Range: &releasev1.NumberRange{Max: proto.Float64(3)}, Over: durationpb.New(10 * time.Minute), MaxSilence: durationpb.New(time.Minute),
	}}}, `logs of logs are counted in "{app=\"{service}\"}", the lines that have "\"error\"" and do not have "retry" and match "5.." and do not match "4.." are at most 3, ` +
		`since the change and in the last 10m0s at most, some line is there in the last 1m0s, not before 10s after the change, within 5s`},
	"command": {&releasev1.Check{Probe: &releasev1.Check_Command{Command: &releasev1.CommandProbe{
		Command: "stock", Arguments: map[string]string{"warehouse": "north \"1\"", "depth": "3"}, Timeout: durationpb.New(20 * time.Second),
	}}}, `command stock is run with depth "3" and warehouse "north \"1\"", it ends by itself with status 0, within 20s`},
	"sign_off": {&releasev1.Check{Probe: &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{
		Question: "Do the sums of the \"ledger\" agree?", Groups: []string{"finance", "operators"}, Within: durationpb.New(20 * time.Minute),
	}}}, `somebody of finance or operators answers "Do the sums of the \"ledger\" agree?", with a pass in 20m0s`},
	"tcp": {&releasev1.Check{Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}, "tcp connects within 5s"},
	"kubernetes_rollout": {
		&releasev1.Check{Probe: &releasev1.Check_KubernetesRollout{KubernetesRollout: &releasev1.KubernetesRolloutProbe{
			Workloads: &releasev1.KubernetesWorkloads{Labels: map[string]string{"b": "2", "a": "1"}}, MaxRestarts: proto.Uint32(2),
			NoEvents: []string{"BackOff", "Failed"},
		}}},
		"kubernetes workloads with a=1,b=2 rolled out, no container started again more than 2 times, no warning of BackOff or Failed since the change began, within 5s",
	},
	"kubernetes_security": {secured, "kubernetes security of Deployment/shop and StatefulSet/db, " +
		"image_digests: every container runs an image that was approved or sha256:aa, " +
		"pod_security: pods are restricted and the namespace enforces baseline at least, network_policy: policies select every pod for ingress and egress, " +
		"exposure: nothing can be reached from outside but Ingress/shop as shop.example, Service/shop, " +
		"service_account: it has no rights but get/list configmaps \"settings\", get nodes.metrics.k8s.io everywhere, " +
		"plain_secrets: nothing looks like a secret in plain text but TOKENIZER, within 10s"},
}

// TestEveryKindHasWords: a kind that the contract has and this table has not would be
// approved by people who are not told what it is.
func TestEveryKindHasWords(t *testing.T) {
	fields := (&releasev1.Check{}).ProtoReflect().Descriptor().Oneofs().ByName("probe").Fields()
	if fields.Len() != len(criterion.Kinds()) {
		t.Errorf("%d kinds in the contract, in the table %v", fields.Len(), criterion.Kinds())
	}
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		t.Run(name, func(t *testing.T) {
			example, ok := examples[name]
			if !ok {
				t.Fatal("no example")
			}
			if got := criterion.Kind(example.check); got != name {
				t.Errorf("Kind = %q", got)
			}
			if got := criterion.Words(example.check); got != example.words {
				t.Errorf("Words =\n%s\nwant\n%s", got, example.words)
			}
		})
	}
	if got := criterion.Words(&releasev1.Check{}); got != "nothing that is known here" {
		t.Errorf("a check of no kind: %q", got)
	}
}

func TestTimeout(t *testing.T) {
	for _, test := range []struct {
		asked *durationpb.Duration
		want  time.Duration
	}{
		{nil, criterion.DefaultTimeout},
		{durationpb.New(0), criterion.DefaultTimeout},
		{durationpb.New(-time.Second), criterion.DefaultTimeout},
		{&durationpb.Duration{Seconds: 1, Nanos: -1}, criterion.DefaultTimeout},
		{durationpb.New(time.Second), time.Second},
		{durationpb.New(time.Hour), criterion.MaxTimeout},
	} {
		c := &releasev1.Check{Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{Timeout: test.asked}}}
		if got := criterion.Timeout(c); got != test.want {
			t.Errorf("Timeout(%v) = %v, want %v", test.asked, got, test.want)
		}
	}
}

func TestWithin(t *testing.T) {
	ends := func(least, most *float64) *releasev1.NumberRange {
		return &releasev1.NumberRange{Min: least, Max: most}
	}
	for _, test := range []struct {
		name  string
		of    *releasev1.NumberRange
		value float64
		want  bool
	}{
		{"on the lower bound", ends(new(1.0), nil), 1, true},
		{"below it", ends(new(1.0), nil), 0.99, false},
		{"on the upper bound", ends(nil, new(2.0)), 2, true},
		{"above it", ends(nil, new(2.0)), 2.01, false},
		{"between", ends(new(1.0), new(2.0)), 1.5, true},
		{"zero is a bound", ends(new(0.0), nil), -1, false},
		{"NaN", ends(new(0.0), nil), math.NaN(), false},
		{"NaN as a bound", ends(new(math.NaN()), nil), 1, false},
		{"no bound", ends(nil, nil), 1, false},
		{"no range", nil, 1, false},
	} {
		if got := criterion.Within(test.of, test.value); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
