package check

import (
	"strings"
	"time"

	"github.com/blackdice/shipwarden/internal/criterion"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// document is the evidence of one bake. Its field names are read by auditors' tools,
// so they only ever grow.
type document struct {
	Schema     string           `json:"schema"`
	Verdict    string           `json:"verdict"`
	Reason     string           `json:"reason"`
	EndedEarly string           `json:"ended_early,omitempty"`
	Notes      []string         `json:"notes,omitempty"`
	Start      time.Time        `json:"window_start"`
	Bake       string           `json:"bake"`
	Interval   string           `json:"interval"`
	Started    time.Time        `json:"started"`
	Ended      time.Time        `json:"ended"`
	Checks     []documentCheck  `json:"checks"`
	Targets    []documentTarget `json:"targets"`
}

// documentCheck is a criterion as it was applied, with what was left to the defaults.
type documentCheck struct {
	Name                   string   `json:"name"`
	Kind                   string   `json:"kind"`
	Looks                  string   `json:"looks,omitempty"`
	Path                   string   `json:"path,omitempty"`
	ExpectStatus           uint32   `json:"expect_status,omitempty"`
	ExpectBody             string   `json:"expect_body,omitempty"`
	Expects                []string `json:"expects,omitempty"`
	Timeout                string   `json:"timeout,omitempty"`
	MinPassRatio           float64  `json:"min_pass_ratio"`
	MaxConsecutiveFailures uint32   `json:"max_consecutive_failures"`
	MinSamples             uint32   `json:"min_samples"`
}

// documentTarget is where a target was looked at, and what was seen there.
type documentTarget struct {
	Target         string           `json:"target"`
	BaseURL        string           `json:"base_url,omitempty"`
	TCPAddress     string           `json:"tcp_address,omitempty"`
	DigestPath     string           `json:"digest_path,omitempty"`
	Config         string           `json:"config,omitempty"`
	GRPCAddress    string           `json:"grpc_address,omitempty"`
	TLSAddress     string           `json:"tls_address,omitempty"`
	DNSServer      string           `json:"dns_server,omitempty"`
	ApprovedDigest string           `json:"approved_digest"`
	Kubernetes     *documentCluster `json:"kubernetes,omitempty"`
	Queries        []documentQuery  `json:"queries,omitempty"`
	Results        []documentResult `json:"results"`
}

// documentCluster is where objects of a cluster were looked at, and what they were compared with.
type documentCluster struct {
	Cluster   string `json:"cluster"`
	Server    string `json:"server"`
	Namespace string `json:"namespace"`
	// Images are those that were approved; null where that was not known. Since is when the change
	// began.
	Images []string   `json:"approved_images"`
	Since  *time.Time `json:"since,omitempty"`
}

// documentQuery is what was asked of a source of metrics or of logs for one check on one target, with
// everything in place of its placeholders. It is empty where nothing could be put there.
type documentQuery struct {
	Check  string `json:"check"`
	Source string `json:"source"`
	URL    string `json:"url,omitempty"`
	Query  string `json:"query"`
	AgeOf  string `json:"max_age_of,omitempty"`
	// Kind is the kind of the check; absent where it asks for metrics.
	Kind string `json:"kind,omitempty"`
	// Flow is what was asked for all lines of a log. It is written as the query is, with the
	// longest times: every sample has those that were asked for.
	Flow string `json:"flow,omitempty"`
}

// queries are what was asked of sources on one target. Where a source of a kind is says the
// prober, which knows it.
func queries(checks []*releasev1.Check, names criterion.Names, place func(kind, source string) string) []documentQuery {
	var all []documentQuery
	for _, c := range checks {
		if c.GetLogs() != nil {
			all = append(all, logQuery(c, names, place))
		}
		if c.GetPrometheus() == nil {
			continue
		}
		q := documentQuery{Check: c.GetName(), Source: c.GetPrometheus().GetSource()}
		q.URL = place(kindPrometheus, q.Source)
		if asked, err := criterion.Resolve(c, names); err == nil {
			q.Query, q.AgeOf = asked.GetPrometheus().GetQuery(), criterion.AgeOf(asked.GetPrometheus())
		}
		all = append(all, q)
	}
	return all
}

// documentResult is one result with the samples that it was derived from.
type documentResult struct {
	Check   string   `json:"check"`
	Verdict string   `json:"verdict"`
	Reason  string   `json:"reason"`
	Samples []Sample `json:"samples"`
	// Comparison is what was compared with a baseline; absent where nothing was.
	Comparison *Comparison `json:"comparison,omitempty"`
}

// criteria writes down the checks of a plan.
func criteria(checks []*releasev1.Check) []documentCheck {
	all := make([]documentCheck, 0, len(checks))
	for _, c := range checks {
		ratio, valid := minPassRatio(c)
		if !valid {
			ratio = 0
		}
		d := documentCheck{
			Name: c.GetName(), MinPassRatio: ratio,
			MaxConsecutiveFailures: maxConsecutiveFailures(c), MinSamples: minSamples(c),
		}
		if d.Kind = criterion.Kind(c); d.Kind != "" {
			d.Expects, d.Timeout = criterion.Expects(c), criterion.Timeout(c).String()
		}
		if criterion.AsksPeople(c) {
			d.Timeout, d.MaxConsecutiveFailures, d.MinSamples = "", 1, 1
		}
		switch probe := c.GetProbe().(type) {
		case *releasev1.Check_Http:
			d.Path, d.ExpectStatus, d.ExpectBody = probe.Http.GetPath(), criterion.ExpectedStatus(probe.Http), probe.Http.GetExpectBody()
		case *releasev1.Check_Tcp:
		default:
			d.Looks = criterion.Looks(c)
		}
		all = append(all, d)
	}
	return all
}

// word is a verdict as people write it.
func word(v releasev1.CheckResult_Verdict) string {
	return strings.ToLower(strings.TrimPrefix(v.String(), "VERDICT_"))
}
