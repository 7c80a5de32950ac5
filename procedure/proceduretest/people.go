package proceduretest

import (
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// groups is who is in which group. Rita asks, Otto owns and Ada writes in the
// request of this package; they are approvers all the same, to be refused.
var groups = map[string][]string{
	"anna": {"release-managers"},
	"ben":  {"security"},
	"cleo": {"release-managers", "security"},
	"dan":  {"release-managers"},
	"eve":  {"incident-commanders"},
	"rita": {"release-managers"},
	"otto": {"release-managers", "incident-commanders"},
	"ada":  {"security"},
	"finn": nil,
}

// Person returns a person as an authenticated actor, with the groups they are in;
// a name that is not known here is a person without groups.
func Person(id string) *releasev1.Actor {
	return &releasev1.Actor{Id: id, Kind: releasev1.Actor_KIND_HUMAN, Method: "mtls", Groups: groups[id]}
}

// Service returns a service as an actor.
func Service(name string) *releasev1.Actor {
	return &releasev1.Actor{Id: name, Kind: releasev1.Actor_KIND_SERVICE, Method: "bus"}
}

// Quorum is one approval by a release manager and one by security.
func Quorum() []*releasev1.QuorumRule {
	return []*releasev1.QuorumRule{{Group: "release-managers", Count: 1}, {Group: "security", Count: 1}}
}

// EmergencyQuorum is one approval by an incident commander.
func EmergencyQuorum() []*releasev1.QuorumRule {
	return []*releasev1.QuorumRule{{Group: "incident-commanders", Count: 1}}
}
