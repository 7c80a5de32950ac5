package outward

import (
	"net/netip"
	"testing"
)

func TestAddressesThatMayBeReached(t *testing.T) {
	for address, want := range map[string]bool{
		"93.184.216.34": true, "10.1.2.3": true, "fd12:3456::1": true, "2606:2800::1": true,
		"::ffff:10.1.2.3": true, "64:ff9b::5db8:d822": true, "2002:5db8:d822::1": true,
		"0.0.0.0": false, "::": false, "169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false,
		"64:ff9b:1::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false,
		"::169.254.169.254": false, "100.100.100.200": false, "168.63.129.16": false, "fd00:ec2::254": false, "fe80::1": false,
		"fe80::1%eth0": false, "224.0.0.1": false, "255.255.255.255": false, "ff02::1": false,
		"127.0.0.1": false, "127.1.2.3": false, "::1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::1": false,
	} {
		if got := reachable(netip.MustParseAddr(address), false); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "::ffff:127.0.0.1": true, "10.1.2.3": false, "0.0.0.0": false, "169.254.169.254": false} {
		if got := reachable(netip.MustParseAddr(address), true); got != want {
			t.Errorf("%s, which is said to be this machine: %v, want %v", address, got, want)
		}
	}
}

func TestWhichHostsSayThatTheyAreThisMachine(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "relay.localhost": true, "127.0.0.1": true, "127.0.0.2": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.evil.example": false, "notlocalhost": false, "10.0.0.1": false, "0.0.0.0": false, "127.1": false, "2130706433": false, "0x7f000001": false,
		"lоcalhost": false, // its first o is a letter of another alphabet
	} {
		if got := Here(host); got != want {
			t.Errorf("%q: %v, want %v", host, got, want)
		}
	}
}
