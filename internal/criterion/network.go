package criterion

import (
	"fmt"
	"strconv"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

func grpcLooks(c *releasev1.Check) string {
	service := c.GetGrpc().GetService()
	if service == "" {
		return "grpc server is SERVING"
	}
	return "grpc service " + strconv.Quote(service) + " is SERVING"
}

func dnsLooks(c *releasev1.Check) string {
	out := "dns " + c.GetDns().GetName() + " resolves to " + strings.Join(c.GetDns().GetAddresses(), " and ")
	if c.GetDns().GetMoreAllowed() {
		return out + " among others"
	}
	return out + " alone"
}

func tlsLooks(c *releasev1.Check) string {
	if name := c.GetTls().GetName(); name != "" {
		return "tls certificate of " + name + " is trusted"
	}
	return "tls certificate is trusted"
}

func tlsExpects(c *releasev1.Check) (out []string) {
	if days := c.GetTls().GetMinDays(); days > 0 {
		out = append(out, fmt.Sprintf("for %d days more", days))
	}
	if c.GetTls().GetMinVersion() == releasev1.TlsProbe_VERSION_TLS_1_3 {
		return append(out, "nothing older than TLS 1.3")
	}
	return append(out, "nothing older than TLS 1.2")
}

func nothing(*releasev1.Check) []string { return nil }
