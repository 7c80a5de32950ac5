package criterion

import (
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// How long one sample may take where the check does not say, and at most.
const (
	DefaultTimeout = 5 * time.Second
	MaxTimeout     = 60 * time.Second
)

// kind is what there is to know of one kind of check.
type kind struct {
	// looks is what it looks at, in a few words that begin a sentence.
	looks func(*releasev1.Check) string
	// expects is what it expects there, one phrase each.
	expects func(*releasev1.Check) []string
	// timeout is how long one sample may take, as the check has it; nil where it has no samples.
	timeout func(*releasev1.Check) *durationpb.Duration
	// faults are what is wrong with it beside what the schema says; nil for nothing.
	faults func(*releasev1.Check) []Fault
}

// kinds are all of them, by the name of their field in Check.
var kinds = map[string]kind{
	"http": {
		looks:   httpLooks,
		expects: httpExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetHttp().GetTimeout() },
	},
	"tcp": {
		looks:   func(*releasev1.Check) string { return "tcp connects" },
		expects: nothing,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetTcp().GetTimeout() },
	},
	"grpc": {
		looks:   grpcLooks,
		expects: nothing,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetGrpc().GetTimeout() },
	},
	"dns": {
		looks:   dnsLooks,
		expects: nothing,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetDns().GetTimeout() },
	},
	"tls": {
		looks:   tlsLooks,
		expects: tlsExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetTls().GetTimeout() },
	},
	"prometheus": {
		looks:   prometheusLooks,
		expects: prometheusExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetPrometheus().GetTimeout() },
		faults:  prometheusFaults,
	},
	"logs": {
		looks:   logsLooks,
		expects: logsExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetLogs().GetTimeout() },
		faults:  logsFaults,
	},
	"command": {
		looks:   commandLooks,
		expects: commandExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetCommand().GetTimeout() },
	},
	"sign_off": {
		looks:   signOffLooks,
		expects: signOffExpects,
		faults:  signOffFaults,
	},
	"kubernetes_rollout": {
		looks:   rolloutLooks,
		expects: rolloutExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetKubernetesRollout().GetTimeout() },
		faults:  workloadFaults,
	},
	"kubernetes_security": {
		looks:   securityLooks,
		expects: securityExpects,
		timeout: func(c *releasev1.Check) *durationpb.Duration { return c.GetKubernetesSecurity().GetTimeout() },
		faults:  securityFaults,
	},
}

// Kinds are the names of all kinds of checks, in order.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// Kind is the name of the check's kind, or "" where it has none.
func Kind(c *releasev1.Check) string {
	m := c.ProtoReflect()
	field := m.WhichOneof(m.Descriptor().Oneofs().ByName("probe"))
	if field == nil {
		return ""
	}
	return string(field.Name())
}

// Looks says what a check looks at, in a few words.
func Looks(c *releasev1.Check) string {
	k, ok := kinds[Kind(c)]
	if !ok {
		return ""
	}
	return k.looks(c)
}

// Expects are the phrases that say what a check expects, beside what is in the words of
// what it looks at.
func Expects(c *releasev1.Check) []string {
	k, ok := kinds[Kind(c)]
	if !ok {
		return nil
	}
	return k.expects(c)
}

// Words say what a check looks at and what it expects there, on one line. What comes from
// the request stands in quotes that escape whatever does not print.
func Words(c *releasev1.Check) string {
	k, ok := kinds[Kind(c)]
	if !ok {
		return "nothing that is known here"
	}
	expects := k.expects(c)
	if k.timeout == nil {
		return k.looks(c) + ", " + strings.Join(expects, ", ")
	}
	within := " within " + Timeout(c).String()
	if len(expects) == 0 {
		return k.looks(c) + within
	}
	return k.looks(c) + ", " + strings.Join(expects, ", ") + "," + within
}

// Timeout returns how long one sample of the check may take. A check that asks for nothing,
// or for something impossible, gets the default; no check gets more than the maximum.
func Timeout(c *releasev1.Check) time.Duration {
	k, ok := kinds[Kind(c)]
	if !ok || k.timeout == nil {
		return DefaultTimeout
	}
	asked := k.timeout(c)
	d := asked.AsDuration()
	if asked == nil || asked.CheckValid() != nil || d <= 0 {
		return DefaultTimeout
	}
	return min(d, MaxTimeout)
}
