package metrics

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/blackdice/shipwarden/internal/service"
	configv1 "github.com/blackdice/shipwarden/proto/shipwarden/config/v1"
	"github.com/blackdice/shipwarden/services/validator/target/dial"
)

// Source is one source of metrics, or of logs that counts their lines. It is safe for concurrent use.
type Source struct {
	base    *url.URL
	address dial.Address
	secure  *tls.Config
	headers []header
	// Resolver finds the addresses of names. Nil means the system's.
	resolver *net.Resolver
	now      func() time.Time
	// logs says that it has the API of Loki, not that of Prometheus.
	logs bool
}

// header is one that is sent along: what it holds, or the file in which that is. Before what
// is in the file stands the prefix.
type header struct{ name, value, file, prefix string }

// ours are headers that say how a question is asked, which is not for a configuration to
// change.
var ours = []string{
	"accept", "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie", "expect", "host",
	"te", "trailer", "transfer-encoding", "upgrade", "user-agent",
}

// Open reads where the configured sources are, by their names. Resolver and clock may be
// nil, which means the system's. The error names every field at fault, and no secret.
func Open(configured []*configv1.MetricSource, resolver *net.Resolver, now func() time.Time) (map[string]*Source, error) {
	return openAll("metric_sources", configured, resolver, now)
}

// OpenLogs is Open for sources of logs, which have the API of Loki. They are asked of one moment
// only.
func OpenLogs(configured []*configv1.MetricSource, resolver *net.Resolver, now func() time.Time) (map[string]*Source, error) {
	all, err := openAll("log_sources", configured, resolver, now)
	for _, s := range all {
		s.logs = true
	}
	return all, err
}

// openAll opens the sources in a field of the configuration.
func openAll(in string, configured []*configv1.MetricSource, resolver *net.Resolver, now func() time.Time) (map[string]*Source, error) {
	if now == nil {
		now = time.Now
	}
	out := map[string]*Source{}
	var wrong []error
	for i, c := range configured {
		field := fmt.Sprintf("%s[%d]", in, i)
		if out[c.GetName()] != nil {
			wrong = append(wrong, fmt.Errorf("%s.name: %s is there already", field, c.GetName()))
			continue
		}
		source := &Source{resolver: resolver, now: now}
		if err := source.open(c); err != nil {
			wrong = append(wrong, service.Below(field, err))
			continue
		}
		out[c.GetName()] = source
	}
	return out, errors.Join(wrong...)
}

func (s *Source) open(c *configv1.MetricSource) error {
	var wrong []error
	base, address, err := dial.ParseBase(c.GetUrl())
	if err != nil {
		wrong = append(wrong, service.InField("url", err))
	}
	s.base, s.address = base, address
	secure, err := service.ClientTLS(c.GetTls())
	if err != nil {
		wrong = append(wrong, service.InField("tls", err))
	}
	if secure != nil {
		// Many a Prometheus stands behind what speaks no newer one.
		secure.MinVersion = tls.VersionTLS12
		s.secure = secure
	}
	if c.GetTokenFile() != "" {
		s.headers = append(s.headers, header{name: "Authorization", file: c.GetTokenFile(), prefix: "Bearer "})
		wrong = append(wrong, service.InField("token_file", s.fit(s.headers[0])))
	}
	for i, h := range c.GetHeaders() {
		field := fmt.Sprintf("headers[%d]", i)
		switch name := strings.ToLower(h.GetName()); {
		case slices.Contains(ours, name), strings.HasPrefix(name, "proxy-"):
			wrong = append(wrong, fmt.Errorf("%s.name: %s is not for a configuration to set", field, h.GetName()))
			continue
		case name == "authorization" && h.GetValueFile() == "":
			wrong = append(wrong, fmt.Errorf("%s.value: %s is a secret: use value_file", field, h.GetName()))
			continue
		case slices.ContainsFunc(s.headers, func(o header) bool { return strings.EqualFold(o.name, name) }):
			wrong = append(wrong, fmt.Errorf("%s.name: %s is there already", field, h.GetName()))
			continue
		}
		one := header{name: h.GetName(), value: h.GetValue(), file: h.GetValueFile()}
		part := "value"
		if one.file != "" {
			part = "value_file"
		}
		wrong = append(wrong, service.InField(field+"."+part, s.fit(one)))
		s.headers = append(s.headers, one)
	}
	return errors.Join(wrong...)
}

// fit says why a header cannot be sent.
func (s *Source) fit(h header) error {
	if h.file != "" && s.base != nil && s.base.Scheme != "https" {
		return errors.New("it is not sent over plain HTTP")
	}
	_, err := h.read()
	return err
}

// read returns what the header holds. The error never has it.
func (h header) read() (string, error) {
	value := h.value
	if h.file != "" {
		secret, err := service.ReadSecret(h.file)
		if err != nil {
			return "", err
		}
		value = secret.Reveal()
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return "", errors.New("it holds what no header can hold")
	}
	return h.prefix + value, nil
}

// URL is where the source is, without anything secret.
func (s *Source) URL() string { return s.base.String() }
