package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

var (
	// ErrAddress means that a configured address is not a host and a port.
	ErrAddress = errors.New("not a host and a port")
	// ErrForbidden means that an address must never be connected to.
	ErrForbidden = errors.New("address must not be reached")
	// ErrUnresolved means that the addresses of a name could not be found out, so
	// that nothing is known about the service behind it.
	ErrUnresolved = errors.New("name does not resolve")
)

// The longest host name that DNS can carry, in bytes, and the longest part of it
// between dots.
const (
	maxHost  = 253
	maxLabel = 63
)

// Address is a host and a port from the configuration, judged as far as that is
// possible without resolving the host. Its zero value reaches nothing. It is safe for
// concurrent use.
type Address struct {
	host string
	port uint16
	// literal is the host where it is an IP address and not a name.
	literal netip.Addr
	// loopback says that the configuration itself names loopback.
	loopback bool
}

// ParseAddress reads host:port, where an IPv6 address stands in brackets. It refuses
// with ErrAddress what is neither a plain IP address nor a plain name, in particular
// numbers in any other notation (2130706433, 0x7f000001, 127.1), which resolvers
// understand in different ways; and with ErrForbidden an IP address that must never
// be reached.
func ParseAddress(hostport string) (Address, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return Address{}, fmt.Errorf("%w: %q", ErrAddress, hostport)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Address{}, fmt.Errorf("%w: port %q of %q", ErrAddress, port, hostport)
	}
	a := Address{host: strings.ToLower(host), port: uint16(number)}
	if literal, err := netip.ParseAddr(a.host); err == nil {
		if literal.Zone() != "" {
			return Address{}, fmt.Errorf("%w: %q has a zone", ErrAddress, hostport)
		}
		a.literal = literal.Unmap()
		a.loopback = a.literal.IsLoopback()
		if err := a.judge(a.literal); err != nil {
			return Address{}, err
		}
		return a, nil
	}
	if !isName(a.host) {
		return Address{}, fmt.Errorf("%w: host %q", ErrAddress, host)
	}
	a.loopback = a.host == "localhost" || strings.HasSuffix(a.host, ".localhost")
	return a, nil
}

// String returns the address as host:port.
func (a Address) String() string {
	return net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))
}

// Host returns the host alone, in lower case and without brackets.
func (a Address) Host() string { return a.host }

// Equal tells whether a host and port, as they stand in a URL, are this address.
func (a Address) Equal(hostport string) bool {
	other, err := ParseAddress(hostport)
	return err == nil && other == a
}

// isName tells whether the host is a name as DNS has them. A name whose last part is
// a number is none: it is an IP address in a notation that is not taken.
func isName(host string) bool {
	if host == "" || len(host) > maxHost {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return last[0] < '0' || last[0] > '9'
}
