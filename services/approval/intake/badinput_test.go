package intake_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure/proceduretest"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
	"github.com/blackdice/shipwarden/services/approval/approvaltest"
	"github.com/blackdice/shipwarden/services/approval/intake"
)

type change = func(*releasev1.Request)

// badRequest is a case of docs/bad-input.md that intake refuses: what is changed in
// a good request, or its bytes, and which field is named by which rule.
type badRequest struct {
	name    string
	change  change
	body    func(good *releasev1.Request) []byte
	content string
	sign    func(body []byte) string
	field   string
	rule    string
}

func badRequests(at time.Time) []badRequest {
	version := func(v string) change { return func(q *releasev1.Request) { q.Version = v } }
	key := func(k string) change { return func(q *releasev1.Request) { q.IdempotencyKey = k } }
	digest := func(d string) change { return func(q *releasev1.Request) { q.Artifacts[0].Digest = d } }
	targets := func(ids ...string) change { return proceduretest.Waves(ids) }
	owner := func(o string) change { return func(q *releasev1.Request) { q.Owner = o } }
	check := func(c *releasev1.Check) change {
		return func(q *releasev1.Request) {
			c.Name, c.Probe = "health", q.GetValidation().GetChecks()[0].GetProbe()
			q.Validation.Checks[0] = c
		}
	}
	deep := func(f func(*releasev1.HttpProbe)) change {
		return func(q *releasev1.Request) { f(q.GetValidation().GetChecks()[0].GetHttp()) }
	}
	secured := func(f func(*releasev1.KubernetesSecurityProbe)) change {
		return func(q *releasev1.Request) {
			p := &releasev1.KubernetesSecurityProbe{
				Workloads:    &releasev1.KubernetesWorkloads{Named: []*releasev1.KubernetesWorkload{{Kind: releasev1.KubernetesWorkload_KIND_DEPLOYMENT, Name: "shop"}}},
				ImageDigests: &releasev1.KubernetesImageControl{},
			}
			f(p)
			q.Validation.Checks[0].Probe = &releasev1.Check_KubernetesSecurity{KubernetesSecurity: p}
		}
	}
	metric := func(f func(*releasev1.PrometheusProbe)) change {
		return func(q *releasev1.Request) {
			p := &releasev1.PrometheusProbe{Source: "metrics", Query: `errors{job="{service}"}`, Range: &releasev1.NumberRange{Max: proto.Float64(1)}}
			f(p)
			q.Validation.Checks[0].Probe = &releasev1.Check_Prometheus{Prometheus: p}
		}
	}
	compared := func(f func(*releasev1.PrometheusProbe, *releasev1.MetricBaseline)) change {
		return func(q *releasev1.Request) {
			q.Validation.Bake = durationpb.New(10 * time.Minute)
			metric(func(p *releasev1.PrometheusProbe) {
				p.MaxAge, p.Baseline = durationpb.New(time.Minute), &releasev1.MetricBaseline{
					Kind: releasev1.MetricBaseline_KIND_BEFORE, Direction: releasev1.MetricBaseline_DIRECTION_HIGHER_IS_WORSE,
					Over: durationpb.New(30 * time.Minute), Step: durationpb.New(30 * time.Second),
				}
				f(p, p.GetBaseline())
			})(q)
		}
	}
	logged := func(f func(*releasev1.LogProbe)) change {
		return func(q *releasev1.Request) {
			p := &releasev1.LogProbe{
				Source: "logs", Selector: `{app="shop"}`, Lines: []*releasev1.LineFilter{{Filter: &releasev1.LineFilter_Contains{Contains: "error"}}},
				Range: &releasev1.NumberRange{Max: proto.Float64(0)}, Over: durationpb.New(time.Minute), Settle: durationpb.New(time.Second),
			}
			f(p)
			q.Validation.Bake, q.Validation.Interval = durationpb.New(10*time.Minute), durationpb.New(10*time.Second)
			q.Validation.Checks[0].Probe = &releasev1.Check_Logs{Logs: p}
		}
	}
	runs := func(f func(*releasev1.CommandProbe)) change {
		return func(q *releasev1.Request) {
			p := &releasev1.CommandProbe{Command: "stock", Arguments: map[string]string{"depth": "3"}}
			f(p)
			q.Validation.Checks[0].Probe = &releasev1.Check_Command{Command: p}
		}
	}
	signed := func(f func(*releasev1.Check)) change {
		return func(q *releasev1.Request) {
			k := q.GetValidation().GetChecks()[0]
			k.MinPassRatio, k.MaxConsecutiveFailures, k.MinSamples = nil, nil, nil
			k.Probe = &releasev1.Check_SignOff{SignOff: &releasev1.SignOffProbe{Question: "Do the sums agree?", Groups: []string{"qa"}}}
			f(k)
		}
	}
	line := func(text string) func(*releasev1.LogProbe) {
		return func(p *releasev1.LogProbe) {
			p.Lines[0].Filter = &releasev1.LineFilter_Contains{Contains: text}
		}
	}
	raw := func(b []byte) func(*releasev1.Request) []byte {
		return func(*releasev1.Request) []byte { return b }
	}
	edited := func(old, text string) func(*releasev1.Request) []byte {
		return func(q *releasev1.Request) []byte {
			b := mustJSON(q)
			if !bytes.Contains(b, []byte(old)) {
				panic("nothing to edit: " + old)
			}
			return bytes.Replace(b, []byte(old), []byte(text), 1)
		}
	}
	by := func(private, id string) func([]byte) string {
		return func(b []byte) string { return intake.SignRequest(id, approvaltest.Key(private), b) }
	}
	return []badRequest{
		{name: "1 empty message", body: raw(nil), rule: "body.empty"},
		{name: "1 empty object", body: raw([]byte("{}")), field: "change_record", rule: "required"},
		{name: "2 unknown field in JSON", body: edited(`"version"`, `"verzion":"1","version"`), field: "verzion", rule: "field.unknown"},
		{name: "4 truncated protobuf", body: func(q *releasev1.Request) []byte { b := mustProtobuf(q); return b[:len(b)-3] }, rule: "body.protobuf"},
		{name: "4 truncated JSON", body: func(q *releasev1.Request) []byte { b := mustJSON(q); return b[:len(b)-3] }, rule: "body.json"},
		{name: "5 more than an event takes", change: func(q *releasev1.Request) {
			for i := range 13 {
				c := proto.CloneOf(q.GetValidation().GetChecks()[0])
				c.Name, c.GetHttp().ExpectBody = fmt.Sprintf("c%d", i), strings.Repeat("x", 1024)
				q.Validation.Checks = append(q.Validation.Checks, c)
			}
			q.Plan.Description, q.Risk.Description, q.RollbackPlan.Recovery = strings.Repeat("x", 4096), strings.Repeat("x", 4096), strings.Repeat("x", 4096)
			q.Plan.Parameters = map[string]string{}
			for i := range 28 {
				q.Plan.Parameters[fmt.Sprintf("p%d", i)] = strings.Repeat("x", 1024)
			}
		}, rule: "request.size"},
		{name: "6 JSON that is not UTF-8", body: edited("1.4.2", "1.4.\xff"), rule: "body.utf8"},
		{name: "6 protobuf with a text that is not UTF-8", body: func(q *releasev1.Request) []byte {
			return bytes.Replace(mustProtobuf(q), []byte("1.4.2"), []byte("1.4.\xff"), 1)
		}, rule: "body.protobuf"},
		{name: "7 NUL in a name", change: func(q *releasev1.Request) { q.Artifacts[0].Name = "sh\x00p" }, field: "artifacts[0].name", rule: "string.pattern"},
		{name: "8 key a.b", change: key("a.b"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 key *", change: key("*"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 key >", change: key(">"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 key $JS", change: key("$JS"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 key ../x", change: key("../x"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 key of 300 characters", change: key(strings.Repeat("k", 300)), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 empty key", change: key(""), field: "idempotency_key", rule: "required"},
		{name: "8 key with a look-alike", change: key("rele\u0430se"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 key with a line feed", change: key("ci-1\n"), field: "idempotency_key", rule: "string.pattern"},
		{name: "8 service with a wildcard", change: func(q *releasev1.Request) { q.Service = "shop.>" }, field: "service", rule: "subject.mismatch"},
		{name: "11 version latest", change: version("latest"), field: "version", rule: "version.immutable"},
		{name: "11 version v1", change: version("v1"), field: "version", rule: "version.immutable"},
		{name: "11 version 1.x", change: version("1.x"), field: "version", rule: "version.immutable"},
		{name: "11 version with a space", change: version("1.2.3 "), field: "version", rule: "version.immutable"},
		{name: "11 version with a line feed", change: version("1.2.3\n"), field: "version", rule: "version.immutable"},
		{name: "12 image by tag", change: func(q *releasev1.Request) {
			q.Artifacts[0].Kind, q.Artifacts[0].Location, q.Artifacts[0].Digest = releasev1.ArtifactKind_ARTIFACT_KIND_OCI_IMAGE, "registry.example/shop:1.4.2", ""
		}, field: "artifacts[0].digest", rule: "digest.sha256"},
		{name: "13 digest too short", change: digest("sha256:abc"), field: "artifacts[0].digest", rule: "digest.sha256"},
		{name: "13 digest in upper case", change: digest("sha256:" + strings.Repeat("A", 64)), field: "artifacts[0].digest", rule: "digest.sha256"},
		{name: "13 digest by MD5", change: digest("md5:" + strings.Repeat("a", 32)), field: "artifacts[0].digest", rule: "digest.sha256"},
		{name: "17 unknown target", change: targets("mars1"), field: "plan.waves[0].targets[0]", rule: "target.unknown"},
		{name: "18 retired target", change: targets("old1"), field: "plan.waves[0].targets[0]", rule: "target.retired"},
		{name: "18 target of another environment", change: targets("stage1"), field: "plan.waves[0].targets[0]", rule: "target.environment"},
		{name: "18 target of another service", change: targets("bill1"), field: "plan.waves[0].targets[0]", rule: "target.service"},
		{name: "20 target in upper case", change: targets("EU1"), field: "plan.waves[0].targets[0]", rule: "target.unknown"},
		{name: "20 target with a space", change: targets("eu1 "), field: "plan.waves[0].targets[0]", rule: "target.unknown"},
		{name: "20 target twice", change: proceduretest.Waves([]string{"eu1"}, []string{"eu1"}), field: "plan.waves[1].targets[0]", rule: "target.twice"},
		{name: "21 unknown owner", change: owner("zoe"), field: "owner", rule: "person.unknown"},
		{name: "21 owner who has left", change: owner("hugo"), field: "owner", rule: "person.inactive"},
		{name: "21 owner by an alias", change: func(q *releasev1.Request) { q.Requester = "rr" }, field: "requester", rule: "person.unknown"},
		{name: "22 group as owner", change: owner("developers"), field: "owner", rule: "person.unknown"},
		{name: "22 machine as owner", change: owner("ci-bot"), field: "owner", rule: "person.machine"},
		{name: "22 owner of another team", change: owner("eve"), field: "owner", rule: "owner.foreign"},
		{name: "23 no rollback plan", change: func(q *releasev1.Request) { q.RollbackPlan = nil }, field: "rollback_plan", rule: "required"},
		{name: "23 no rollback and no recovery", change: func(q *releasev1.Request) {
			q.RollbackPlan.Strategy = releasev1.RollbackPlan_STRATEGY_NONE
		}, field: "rollback_plan", rule: "recovery.required"},
		{name: "26 no checks", change: func(q *releasev1.Request) { q.Validation.Checks = nil }, field: "validation.checks", rule: "required"},
		{name: "27 ratio that is no number", change: check(&releasev1.Check{MinPassRatio: proto.Float64(math.NaN())}), field: "validation.checks[0].min_pass_ratio", rule: "double.gt_lte"},
		{name: "27 infinite ratio", change: check(&releasev1.Check{MinPassRatio: proto.Float64(math.Inf(1))}), field: "validation.checks[0].min_pass_ratio", rule: "double.gt_lte"},
		{name: "27 negative bake", change: func(q *releasev1.Request) { q.Validation.Bake = durationpb.New(-time.Minute) }, field: "validation.bake", rule: "duration.gte_lte"},
		{name: "27 bake that no clock holds", change: func(q *releasev1.Request) {
			q.Validation.Bake = &durationpb.Duration{Seconds: 60, Nanos: -5}
		}, body: mustProtobuf, rule: "request.invalid"},
		{name: "27 a header whose name is none", change: deep(func(p *releasev1.HttpProbe) {
			p.ExpectHeaders = []*releasev1.ExpectedHeader{{Name: "a b", Expect: &releasev1.ExpectedHeader_Present{}}}
		}), field: "validation.checks[0].http.expect_headers[0].name", rule: "string.pattern"},
		{name: "27 a place in JSON that is no pointer", change: deep(func(p *releasev1.HttpProbe) {
			p.ExpectJson = []*releasev1.ExpectedJson{{Pointer: "a.b", Expect: &releasev1.ExpectedJson_Present{}}}
		}), field: "validation.checks[0].http.expect_json[0].pointer", rule: "string.pattern"},
		{name: "27 bounds of nothing", change: deep(func(p *releasev1.HttpProbe) {
			p.ExpectJson = []*releasev1.ExpectedJson{{Expect: &releasev1.ExpectedJson_Range{Range: &releasev1.NumberRange{}}}}
		}), field: "validation.checks[0].http.expect_json[0].range", rule: "range.bounds"},
		{name: "27 slower than is waited for", change: deep(func(p *releasev1.HttpProbe) {
			p.MaxLatency = durationpb.New(5 * time.Second)
		}), field: "validation.checks[0].http", rule: "max_latency.timeout"},
		{name: "27 a source of metrics at an address", change: metric(func(p *releasev1.PrometheusProbe) { p.Source = "http://169.254.169.254" }), field: "validation.checks[0].prometheus.source", rule: "string.pattern"},
		{name: "27 a query that is empty", change: metric(func(p *releasev1.PrometheusProbe) { p.Query = "" }), field: "validation.checks[0].prometheus.query", rule: "required"},
		{name: "27 a query without an end", change: metric(func(p *releasev1.PrometheusProbe) { p.Query = strings.Repeat("a", 1025) }), field: "validation.checks[0].prometheus.query", rule: "string.max_bytes"},
		{name: "27 a query that is shown backwards", change: metric(func(p *releasev1.PrometheusProbe) { p.Query = "a\u202eb" }), field: "validation.checks[0].prometheus.query", rule: "string.pattern"},
		{name: "27 a query that ends in a comment", change: metric(func(p *releasev1.PrometheusProbe) { p.Query = "vector(0) # errors" }), field: "validation.checks[0].prometheus.query", rule: "query.unclear"},
		{name: "27 a query whose quotes are not closed", change: metric(func(p *releasev1.PrometheusProbe) { p.Query = `errors{job="shop}` }), field: "validation.checks[0].prometheus.query", rule: "query.unclear"},
		{name: "27 a placeholder of nobody", change: metric(func(p *releasev1.PrometheusProbe) { p.Query = `errors{job="{host}"}` }), field: "validation.checks[0].prometheus.query", rule: "query.unclear"},
		{name: "27 a metric without bounds", change: metric(func(p *releasev1.PrometheusProbe) { p.Range = nil }), field: "validation.checks[0].prometheus.range", rule: "required"},
		{name: "27 a metric that may be anything", change: metric(func(p *releasev1.PrometheusProbe) { p.Range = &releasev1.NumberRange{} }), field: "validation.checks[0].prometheus.range", rule: "range.bounds"},
		{name: "27 a span without steps", change: metric(func(p *releasev1.PrometheusProbe) { p.Over = durationpb.New(time.Minute) }), field: "validation.checks[0].prometheus", rule: "prometheus.over"},
		{name: "27 a share of one value", change: metric(func(p *releasev1.PrometheusProbe) { p.MinShare = proto.Float64(0.5) }), field: "validation.checks[0].prometheus", rule: "prometheus.over"},
		{name: "27 more points than are asked for", change: metric(func(p *releasev1.PrometheusProbe) {
			p.Over, p.Step = durationpb.New(time.Hour), durationpb.New(time.Second)
		}), field: "validation.checks[0].prometheus.step", rule: "points.many"},
		{name: "27 the age of nothing", change: metric(func(p *releasev1.PrometheusProbe) { p.MaxAgeOf = "errors" }), field: "validation.checks[0].prometheus", rule: "prometheus.max_age"},
		{name: "27 the age of what is computed", change: metric(func(p *releasev1.PrometheusProbe) {
			p.Query, p.MaxAge = "sum(errors)", durationpb.New(time.Minute)
		}), field: "validation.checks[0].prometheus.max_age_of", rule: "query.selector"},
		{name: "a question of nothing", change: signed(func(k *releasev1.Check) { k.GetSignOff().Question = " \u200b" }), field: "validation.checks[0].sign_off.question", rule: "text.blank"},
		{name: "a question for nobody", change: signed(func(k *releasev1.Check) { k.GetSignOff().Groups = nil }), field: "validation.checks[0].sign_off.groups", rule: "required"},
		{name: "a question for who is not there", change: signed(func(k *releasev1.Check) { k.GetSignOff().Groups = []string{"nobody"} }), field: "validation.checks[0].sign_off.groups[0]", rule: "group.unknown"},
		{name: "an answer of which samples are counted", change: signed(func(k *releasev1.Check) { k.MinSamples = proto.Uint32(3) }), field: "validation.checks[0].min_samples", rule: "sign_off.samples"},
		{name: "an answer after the bake", change: signed(func(k *releasev1.Check) { k.GetSignOff().Within = durationpb.New(24 * time.Hour) }), field: "validation.bake", rule: "sign_off.bake"},
		{name: "a program by its path", change: runs(func(p *releasev1.CommandProbe) { p.Command = "/bin/sh" }), field: "validation.checks[0].command.command", rule: "string.pattern"},
		{name: "a program with options", change: runs(func(p *releasev1.CommandProbe) { p.Command = "stock -c" }), field: "validation.checks[0].command.command", rule: "string.pattern"},
		{name: "no program", change: runs(func(p *releasev1.CommandProbe) { p.Command = "" }), field: "validation.checks[0].command.command", rule: "required"},
		{name: "a value of several lines", change: runs(func(p *releasev1.CommandProbe) { p.Arguments["depth"] = "3\nrm" }), field: `validation.checks[0].command.arguments["depth"]`, rule: "string.pattern"},
		{name: "a value of nothing", change: runs(func(p *releasev1.CommandProbe) { p.Arguments["depth"] = "" }), field: `validation.checks[0].command.arguments["depth"]`, rule: "required"},
		{name: "a value without an end", change: runs(func(p *releasev1.CommandProbe) { p.Arguments["depth"] = strings.Repeat("3", 257) }), field: `validation.checks[0].command.arguments["depth"]`, rule: "string.max_bytes"},
		{name: "an argument of no name", change: runs(func(p *releasev1.CommandProbe) { p.Arguments["--x"] = "1" }), field: `validation.checks[0].command.arguments["--x"]`, rule: "string.pattern"},
		{name: "a program without an end", change: runs(func(p *releasev1.CommandProbe) { p.Timeout = durationpb.New(time.Hour) }), field: "validation.checks[0].command.timeout", rule: "duration.gt_lte"},
		{name: "27 a log at an address", change: logged(func(p *releasev1.LogProbe) { p.Source = "http://169.254.169.254" }), field: "validation.checks[0].logs.source", rule: "string.pattern"},
		{name: "27 a log without streams", change: logged(func(p *releasev1.LogProbe) { p.Selector = "" }), field: "validation.checks[0].logs.selector", rule: "required"},
		{name: "27 streams that are more than that", change: logged(func(p *releasev1.LogProbe) { p.Selector = `{app="shop"} |= "x"` }), field: "validation.checks[0].logs.selector", rule: "logs.selector"},
		{name: "27 a log without a pattern", change: logged(func(p *releasev1.LogProbe) { p.Lines = nil }), field: "validation.checks[0].logs.lines", rule: "required"},
		{name: "27 a pattern of nothing", change: logged(line("")), field: "validation.checks[0].logs.lines[0].contains", rule: "required"},
		{name: "27 a pattern with a line break", change: logged(line("error\n")), field: "validation.checks[0].logs.lines[0].contains", rule: "string.pattern"},
		{name: "27 a pattern without an end", change: logged(line(strings.Repeat("a", 257))), field: "validation.checks[0].logs.lines[0].contains", rule: "string.max_bytes"},
		{name: "27 a pattern that is no expression", change: logged(func(p *releasev1.LogProbe) {
			p.Lines[0].Filter = &releasev1.LineFilter_Matches{Matches: "("}
		}), field: "validation.checks[0].logs.lines[0]", rule: "logs.expression"},
		{name: "27 lines without bounds", change: logged(func(p *releasev1.LogProbe) { p.Range = nil }), field: "validation.checks[0].logs.range", rule: "required"},
		{name: "27 lines of all times", change: logged(func(p *releasev1.LogProbe) { p.Over = nil }), field: "validation.checks[0].logs.over", rule: "required"},
		{name: "27 lines of two days", change: logged(func(p *releasev1.LogProbe) { p.Over = durationpb.New(48 * time.Hour) }), field: "validation.checks[0].logs.over", rule: "duration.gte_lte"},
		{name: "27 a log that is looked at after the bake", change: logged(func(p *releasev1.LogProbe) { p.Settle = durationpb.New(time.Hour) }), field: "validation.bake", rule: "logs.bake"},
		{name: "27 a baseline of nobody", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Kind = 0 }), field: "validation.checks[0].prometheus.baseline.kind", rule: "required"},
		{name: "27 a baseline that is not known", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Kind = 99 }), field: "validation.checks[0].prometheus.baseline.kind", rule: "enum.defined_only"},
		{name: "27 values of which nobody knows which are worse", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Direction = 0 }), field: "validation.checks[0].prometheus.baseline.direction", rule: "required"},
		{name: "27 a baseline without a window", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Over = nil }), field: "validation.checks[0].prometheus.baseline.over", rule: "required"},
		{name: "27 a baseline without steps", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Step = nil }), field: "validation.checks[0].prometheus.baseline.step", rule: "required"},
		{name: "27 a baseline without bounds for its values", change: compared(func(p *releasev1.PrometheusProbe, _ *releasev1.MetricBaseline) { p.Range = nil }), field: "validation.checks[0].prometheus.range", rule: "required"},
		{name: "27 a window that lasts two days", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
			b.Over = durationpb.New(48 * time.Hour)
		}), field: "validation.checks[0].prometheus.baseline.over", rule: "duration.gte_lte"},
		{name: "27 steps of a moment", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
			b.Step = durationpb.New(time.Millisecond)
		}), field: "validation.checks[0].prometheus.baseline.step", rule: "duration.gte_lte"},
		{name: "27 a window with too few values", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Over = durationpb.New(time.Minute) }), field: "validation.checks[0].prometheus.baseline.over", rule: "baseline.short"},
		{name: "27 a window with too many values", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Step = durationpb.New(time.Second) }), field: "validation.checks[0].prometheus.baseline.step", rule: "points.many"},
		{name: "27 three values for a comparison", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.MinSamples = proto.Uint32(3) }), field: "validation.checks[0].prometheus.baseline.min_samples", rule: "uint32.gte_lte"},
		{name: "27 so few values that none is ever worse", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.MinSamples = proto.Uint32(4) }), field: "validation.checks[0].prometheus.baseline.min_samples", rule: "baseline.blind"},
		{name: "27 an alpha of nothing", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Alpha = proto.Float64(0) }), field: "validation.checks[0].prometheus.baseline.alpha", rule: "double.gt_lte"},
		{name: "27 an alpha of more than a half", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Alpha = proto.Float64(0.51) }), field: "validation.checks[0].prometheus.baseline.alpha", rule: "double.gt_lte"},
		{name: "27 an alpha that is no number", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Alpha = proto.Float64(math.NaN()) }), field: "validation.checks[0].prometheus.baseline.alpha", rule: "double.finite"},
		{name: "27 an effect that nothing exceeds", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.MinEffect = proto.Float64(1) }), field: "validation.checks[0].prometheus.baseline.min_effect", rule: "double.gte_lt"},
		{name: "27 a tolerance below none", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) { b.Tolerance = proto.Float64(-0.1) }), field: "validation.checks[0].prometheus.baseline.tolerance", rule: "double.gte_lte"},
		{name: "27 a comparison of values of any age", change: compared(func(p *releasev1.PrometheusProbe, _ *releasev1.MetricBaseline) { p.MaxAge = nil }), field: "validation.checks[0].prometheus.max_age", rule: "baseline.age"},
		{name: "27 a comparison of many series", change: compared(func(p *releasev1.PrometheusProbe, _ *releasev1.MetricBaseline) { p.MaxSeries = proto.Uint32(3) }), field: "validation.checks[0].prometheus.max_series", rule: "baseline.series"},
		{name: "27 a comparison of targets without their names", change: compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
			b.Kind = releasev1.MetricBaseline_KIND_UNCHANGED
		}), field: "validation.checks[0].prometheus.query", rule: "baseline.target"},
		{name: "27 a comparison with values of another time", change: compared(func(p *releasev1.PrometheusProbe, _ *releasev1.MetricBaseline) {
			p.Query, p.MaxAgeOf = "errors offset 1h", "errors"
		}), field: "validation.checks[0].prometheus.query", rule: "baseline.span"},
		{name: "27 values that share samples", change: compared(func(p *releasev1.PrometheusProbe, _ *releasev1.MetricBaseline) {
			p.Query, p.MaxAgeOf = "sum(rate(errors[1m]))", "errors"
		}), field: "validation.checks[0].prometheus.baseline.step", rule: "baseline.overlap"},
		{name: "27 a bake that is too short for a comparison", change: func(q *releasev1.Request) {
			compared(func(*releasev1.PrometheusProbe, *releasev1.MetricBaseline) {})(q)
			q.Validation.Bake = durationpb.New(9 * time.Minute)
		}, field: "validation.bake", rule: "baseline.bake"},
		{name: "27 more to compare than can be kept", change: func(q *releasev1.Request) {
			compared(func(_ *releasev1.PrometheusProbe, b *releasev1.MetricBaseline) {
				b.Over = durationpb.New(4 * time.Hour)
			})(q)
			for i := range 100 {
				c := proto.CloneOf(q.GetValidation().GetChecks()[0])
				c.Name = fmt.Sprintf("c%d", i)
				q.Validation.Checks = append(q.Validation.Checks, c)
			}
		}, field: "plan.waves", rule: "baseline.room"},
		{name: "– workloads by name and by labels", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.Workloads.Labels = map[string]string{"app": "shop"}
		}), field: "validation.checks[0].kubernetes_security.workloads", rule: "workloads.which"},
		{name: "– a workload twice", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.Workloads.Named = append(p.Workloads.Named, p.GetWorkloads().GetNamed()[0])
		}), field: "validation.checks[0].kubernetes_security.workloads.named[1]", rule: "workload.twice"},
		{name: "– a kind of workload that is none", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.Workloads.Named[0].Kind = 99
		}), field: "validation.checks[0].kubernetes_security.workloads.named[0].kind", rule: "enum.defined_only"},
		{name: "– security without a control", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.ImageDigests = nil
		}), field: "validation.checks[0].kubernetes_security", rule: "security.controls"},
		{name: "– an image by its tag", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.ImageDigests.Also = []string{"sidecar:1.0.0"}
		}), field: "validation.checks[0].kubernetes_security.image_digests.also[0]", rule: "string.pattern"},
		{name: "– pods of the level privileged", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.PodSecurity = &releasev1.KubernetesPodControl{Level: releasev1.KubernetesPodControl_LEVEL_PRIVILEGED}
		}), field: "validation.checks[0].kubernetes_security.pod_security.level", rule: "enum.not_in"},
		{name: "– policies of no direction", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.NetworkPolicy = &releasev1.KubernetesNetworkControl{}
		}), field: "validation.checks[0].kubernetes_security.network_policy", rule: "network.direction"},
		{name: "– a wildcard that is allowed", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.ServiceAccount = &releasev1.KubernetesAccountControl{Allowed: []*releasev1.KubernetesRight{{Resource: "*", Verbs: []string{"get"}}}}
		}), field: "validation.checks[0].kubernetes_security.service_account.allowed[0].resource", rule: "string.pattern"},
		{name: "– hosts of a Service", change: secured(func(p *releasev1.KubernetesSecurityProbe) {
			p.Exposure = &releasev1.KubernetesExposureControl{Allowed: []*releasev1.KubernetesExposure{{Kind: "Service", Name: "shop", Hosts: []string{"a"}}}}
		}), field: "validation.checks[0].kubernetes_security.exposure.allowed[0].hosts", rule: "exposure.hosts"},
		{name: "27 a metric of the way back that nobody can ask for", change: func(q *releasev1.Request) {
			metric(func(p *releasev1.PrometheusProbe) { p.Query = "sum(errors" })(q)
			q.RollbackPlan.Checks = []*releasev1.Check{q.GetValidation().GetChecks()[0]}
			q.Validation.Checks[0] = &releasev1.Check{Name: "port", Probe: &releasev1.Check_Tcp{Tcp: &releasev1.TcpProbe{}}}
		}, field: "rollback_plan.checks[0].prometheus.query", rule: "query.unclear"},
		{name: "28 201 checks, each of them good", change: func(q *releasev1.Request) {
			for i := range 200 {
				c := proto.CloneOf(q.GetValidation().GetChecks()[0])
				c.Name = fmt.Sprintf("c%d", i)
				q.Validation.Checks = append(q.Validation.Checks, c)
			}
		}, field: "validation.checks", rule: "repeated.max_items"},
		{name: "28 201 checks of the way back", change: func(q *releasev1.Request) {
			for i := range 201 {
				c := proto.CloneOf(q.GetValidation().GetChecks()[0])
				c.Name = fmt.Sprintf("c%d", i)
				q.RollbackPlan.Checks = append(q.RollbackPlan.Checks, c)
			}
		}, field: "rollback_plan.checks", rule: "repeated.max_items"},
		{name: "28 5,000 checks with nothing in them, more faults than an answer holds", change: func(q *releasev1.Request) {
			for range 5000 {
				q.Validation.Checks = append(q.Validation.Checks, &releasev1.Check{})
			}
		}, body: mustProtobuf, rule: "violations.more"},
		{name: "33 start in the past", change: func(q *releasev1.Request) { q.NotBefore = timestamppb.New(at.Add(-time.Hour)) }, field: "not_before", rule: "time.past"},
		{name: "33 start in the year 9999", change: func(q *releasev1.Request) {
			q.NotBefore = timestamppb.New(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
		}, field: "not_before", rule: "not_before.range"},
		{name: "33 start that no calendar holds", change: func(q *releasev1.Request) {
			q.NotBefore = &timestamppb.Timestamp{Seconds: math.MaxInt64}
		}, body: mustProtobuf, field: "not_before", rule: "not_before.range"},
		{name: "33 start between two seconds and neither", change: func(q *releasev1.Request) {
			q.NotBefore = &timestamppb.Timestamp{Seconds: at.Unix() + 3600, Nanos: -5}
		}, body: mustProtobuf, rule: "request.invalid"},
		{name: "33 start without a zone", body: edited(`"version"`, `"notBefore":"2030-01-01T00:00:00","version"`), field: "not_before", rule: "field.value"},
		{name: "36 emergency without a reason", change: func(q *releasev1.Request) { proceduretest.Emergency(q); q.Emergency.Reason = "" }, field: "emergency.reason", rule: "required"},
		{name: "36 emergency for a reason of blanks", change: func(q *releasev1.Request) { proceduretest.Emergency(q); q.Emergency.Reason = strings.Repeat(" ", 13) }, field: "emergency.reason", rule: "text.blank"},
		{name: "36 emergency for a reason of Unicode blanks", change: func(q *releasev1.Request) {
			proceduretest.Emergency(q)
			q.Emergency.Reason = strings.Repeat("\u00a0\u3000\u200b\u2800\u3164", 3)
		}, field: "emergency.reason", rule: "text.blank"},
		{name: "36 a plan that says nothing", change: func(q *releasev1.Request) { q.Plan.Description = " " }, field: "plan.description", rule: "text.blank"},
		{name: "36 a way back that says nothing", change: func(q *releasev1.Request) { q.RollbackPlan.Description = "\n\t" }, field: "rollback_plan.description", rule: "text.blank"},
		{name: "36 emergency without an incident", change: func(q *releasev1.Request) { proceduretest.Emergency(q); q.Emergency.Incident = "" }, field: "emergency.incident", rule: "required"},
		{name: "36 emergency that says nothing", change: func(q *releasev1.Request) { q.Trigger = releasev1.Trigger_TRIGGER_EMERGENCY }, rule: "emergency.required"},
		{name: "36 reason without an emergency", change: func(q *releasev1.Request) {
			proceduretest.Emergency(q)
			q.Trigger = releasev1.Trigger_TRIGGER_PLANNED
		}, rule: "emergency.required"},
		{name: "38 change record malformed", change: func(q *releasev1.Request) { q.ChangeRecord.Id = "CHG 1042" }, field: "change_record.id", rule: "string.pattern"},
		{name: "38 no change record", change: func(q *releasev1.Request) { q.ChangeRecord = nil }, field: "change_record", rule: "required"},
		{name: "40 signed by an unknown key", sign: by("mallory", "mallory"), rule: "signature.key"},
		{name: "40 signed by a revoked key", sign: by("revoked", "revoked"), rule: "signature.key"},
		{name: "40 signed by an expired key", sign: by("expired", "expired"), rule: "signature.key"},
		{name: "40 signed by the key of another service", sign: by("billing-ci", "billing-ci"), rule: "signature.key"},
		{name: "41 signature of another request", sign: func([]byte) string { return by("ci", "ci")([]byte("other")) }, rule: "signature.bad"},
		{name: "78 rollback of nothing", change: proceduretest.Rollback, field: "rollback_of", rule: "rollback_of.unknown"},
		{name: "78 rollback that names nothing", change: func(q *releasev1.Request) { q.Trigger = releasev1.Trigger_TRIGGER_ROLLBACK }, rule: "rollback_of.required"},
		{name: "83 SQL as a person", change: owner("' or 1=1--"), field: "owner", rule: "person.unknown"},
		{name: "90 XML", content: "application/xml", rule: "content_type"},
		{name: "90 content type that is none", content: "application/", rule: "content_type"},
	}
}

func mustJSON(q *releasev1.Request) []byte {
	b, err := marshalJSON(q)
	if err != nil {
		panic(err)
	}
	return b
}

func mustProtobuf(q *releasev1.Request) []byte {
	b, err := proto.Marshal(q)
	if err != nil {
		panic(err)
	}
	return b
}

// TestBadInput refuses every case with an answer that names the field and the rule,
// keeps the refusal, and makes nothing.
func TestBadInput(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	r := newRig(t, signedOnly(at))
	r.now = at
	for i, c := range badRequests(at) {
		t.Run(c.name, func(t *testing.T) {
			q := proceduretest.Request(proceduretest.Key(fmt.Sprintf("bad-%d", i)))
			if c.change != nil {
				c.change(q)
			}
			if c.body == nil {
				c.body = mustJSON
			}
			m := r.message(c.body(q))
			m.ContentType = c.content
			if c.sign == nil {
				c.sign = func(b []byte) string { return intake.SignRequest("ci", approvaltest.Key("ci"), b) }
			}
			m.Signature = c.sign(m.Body)
			before := r.count(t, "req.>")
			got := r.take(t, m)
			if !strings.HasPrefix(got.subject, answerTo) || strings.Count(got.subject, ".") != 3 {
				t.Errorf("answer on %s", got.subject)
			}
			named := false
			for _, v := range got.answer.GetViolations() {
				named = named || v.GetField() == c.field && v.GetRule() == c.rule
			}
			if got.answer.GetOutcome() != refused || !named {
				t.Errorf("%v\nwant %q by %s", got.answer, c.field, c.rule)
			}
			if n := r.count(t, "req.>") - before; n != 1 {
				t.Errorf("%d refusals are kept of it, want 1", n)
			}
		})
	}
	if n := r.count(t, "rel.>"); n != 0 {
		t.Errorf("%d events of releases", n)
	}
}

// TestARefusedSignatureIsCounted is what the alert ShipwardenSignaturesRefused looks at.
func TestARefusedSignatureIsCounted(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	r := newRig(t, signedOnly(at))
	r.now = at
	m := r.message(mustJSON(proceduretest.Request()))
	m.Signature = intake.SignRequest("ci", approvaltest.Key("ci"), []byte("another request"))
	r.take(t, m)
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.intake.Refusals())
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Fatal(families, err)
	}
	got := families[0].GetMetric()[0]
	if got.GetLabel()[0].GetValue() != "signature.bad" || got.GetCounter().GetValue() != 1 {
		t.Errorf("counted %v", got)
	}
}

// What is odd and no fault.
func TestBadInput2UnknownProtobufFieldsAreKept(t *testing.T) {
	r := newRig(t)
	body := append(asProtobuf(t, proceduretest.Request()), 0xba, 0x3e, 3, 'n', 'e', 'w') // field 999
	got := r.take(t, r.message(body)).answer
	if got.GetOutcome() != accepted {
		t.Fatal(got)
	}
	if s := r.State(t, got.GetRelease()); len(s.Request.ProtoReflect().GetUnknown()) == 0 {
		t.Error("the unknown field was dropped")
	}
}

func TestBadInput5TheBusRefusesMoreThan64KiB(t *testing.T) {
	r := newRig(t)
	_, err := r.JetStream().Publish(t.Context(), subject, bytes.Repeat([]byte(" "), eventstore.MaxMessageSize+1))
	var api *jetstream.APIError
	if !errors.As(err, &api) || api.ErrorCode != 10054 {
		t.Errorf("got %v, want 10054", err)
	}
}

func TestBadInput9And10AreAnsweredByTheKey(t *testing.T) {
	r := newRig(t)
	first := r.ask(t)
	if again := r.ask(t); again.GetOutcome() != repeated || again.GetRelease() != first.GetRelease() {
		t.Errorf("9 the same again: %v", again)
	}
	if other := r.ask(t, func(q *releasev1.Request) { q.Version = "9.9.9" }); rules(other)["idempotency_key"] != "idempotency_key.reused" {
		t.Errorf("10 another under the same key: %v", other)
	}
}

// TestWhateverComesGetsAnAnswer lets in what is left of good requests when bytes are
// changed, cut and repeated: none may be taken again and again without an answer.
func TestWhateverComesGetsAnAnswer(t *testing.T) {
	r := newRig(t)
	seeds := [][]byte{
		mustJSON(proceduretest.Request()), mustProtobuf(proceduretest.Request()),
		bytes.Repeat([]byte{0x3a, 0}, 4096), bytes.Repeat([]byte{0x5a, 2, 0x12, 0}, 4096),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		body := bytes.Clone(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(4) {
			body[random.IntN(len(body))] = byte(random.IntN(256)) //nolint:gosec // It fits.
		}
		from, to := random.IntN(len(body)), random.IntN(len(body))
		switch random.IntN(3) {
		case 0:
			body = body[:to]
		case 1:
			body = append(body[:to:to], body[from:]...)
		}
		m := r.message(body)
		if err := r.intake.Take(t.Context(), m); err != nil {
			t.Errorf("no answer to %x: %v", body, err)
		}
	}
}
