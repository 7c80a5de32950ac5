package procedure

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// SignatureNamespace is what approvals are signed for: a signature that was made for
// anything else, a Git commit or a login, is none of an approval, and the other way round.
const SignatureNamespace = "approval@shipwarden"

// Reasons for which a signed approval is not taken (PD-A.4).
var (
	// ErrUnsigned says that approvals count only if their persons sign them.
	ErrUnsigned = errors.New("approval must be signed with the approver's own key")
	// ErrSignature says that what was signed is not this approval.
	ErrSignature = errors.New("signature is not one of this approval")
)

// maxArmored bounds a signature in its text form, in bytes: that of the largest key
// in use is a fifth of it.
const maxArmored = 8 << 10

// maxBundle bounds a sigstore bundle, in bytes. An event has room for more, and those of the
// public instance have a third of it.
const maxBundle = 24 << 10

// ApprovalText is what an approver signs (PD-A.3, PD-A.4): a text of lines, each a name
// and a value, always the same ones in the same order, so that there is one text for one
// approval and one approval for one text. It names the release, which is that of one
// request to one environment, when it was requested, the procedure document, the person,
// and by digest the change and what the person was shown; a signature of one release,
// environment or document is none of another. The error wraps ErrSignature, where a
// value could be taken for more than one.
func ApprovalText(s State, a Approval) ([]byte, error) {
	comment := sha256.Sum256([]byte(a.Comment))
	var out strings.Builder
	out.WriteString("shipwarden approval v1\n")
	for _, line := range [][2]string{
		{"release", s.Release},
		{"service", s.Request.GetService()},
		{"environment", s.Request.GetEnvironment()},
		{"requested", moment(s.RequestedAt)},
		{"procedure", s.ProcedureDigest},
		{"person", a.Person},
		{"for", a.by()},
		{"change", s.ChangeDigest},
		{"shown", a.ShownDigest},
		{"comment", "sha256:" + hex.EncodeToString(comment[:])},
		{"signed", moment(a.Signature.GetSigned().AsTime())},
		{"expires", moment(a.Signature.GetExpires().AsTime())},
	} {
		name, value := line[0], line[1]
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("%w: its %s cannot be written", ErrSignature, name)
		}
		out.WriteString(name + ": " + value + "\n")
	}
	return []byte(out.String()), nil
}

// moment is a time as it stands in a signed text; empty where it cannot stand there.
func moment(t time.Time) string {
	if y := t.UTC().Year(); y < 2000 || y > 9999 {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// NeedsSignature reports whether an approval of a member of these groups counts for
// nothing unless it is signed.
func NeedsSignature(s State, groups []string) bool {
	needs := false
	for _, q := range s.Quorum {
		switch {
		case !slices.Contains(groups, q.GetGroup()):
		case !q.GetSigned():
			return false
		default:
			needs = true
		}
	}
	return needs
}

// maySign says why what is known of the signature of an approval does not fit the
// approval; it does not verify it, which needs the person's key: whoever lets an approval
// in does that, and the executor does it again before anything happens. A signature
// counts once: who takes a signed approval back is not held to it by whoever kept it.
func (s State) maySign(a Approval, at time.Time) error {
	g := a.Signature
	if g == nil {
		if NeedsSignature(s, a.Groups) {
			return ErrUnsigned
		}
		return nil
	}
	switch {
	case (g.GetArmored() == "") == (g.GetBundle() == "") || len(g.GetArmored()) > maxArmored || len(g.GetBundle()) > maxBundle:
		return fmt.Errorf("%w: it is empty, longer than any, or two at once", ErrSignature)
	case g.GetBundle() != "" && (g.GetIdentity().GetIssuer() == "" || g.GetIdentity().GetSubject() == ""):
		return fmt.Errorf("%w: it does not say to whom its certificate was issued", ErrSignature)
	case g.GetBundle() == "" && g.GetIdentity() != nil:
		return fmt.Errorf("%w: it names an identity, which nothing in it proves", ErrSignature)
	case g.GetSigned() == nil || g.GetExpires() == nil || !g.GetExpires().AsTime().Equal(a.Expires):
		return fmt.Errorf("%w: it is valid for another time than the approval", ErrSignature)
	case g.GetSigned().AsTime().After(at.Add(maxEarly)) || !g.GetSigned().AsTime().Before(a.Expires):
		return fmt.Errorf("%w: it was signed at %s, which is to come or after its end", ErrSignature, moment(g.GetSigned().AsTime()))
	}
	for _, w := range s.TakenBack {
		if w.Person == a.Person && !g.GetSigned().AsTime().After(w.Signed) {
			return fmt.Errorf("%w: the person has taken that one back; sign again", ErrSignature)
		}
	}
	_, err := ApprovalText(s, a)
	return err
}

// TakenBack is a signed approval that its person took back, by when they signed it.
type TakenBack struct {
	Person string
	Signed time.Time
}

// forgetSigned notes that a signed approval was taken back, so that its signature does
// not count a second time.
func (s *State) forgetSigned(a Approval) {
	if a.Signature == nil {
		return
	}
	kept := slices.DeleteFunc(slices.Clone(s.TakenBack), func(w TakenBack) bool { return w.Person == a.Person })
	s.TakenBack = append(kept, TakenBack{Person: a.Person, Signed: a.Signature.GetSigned().AsTime()})
}

// given is the approval that an event says.
func given(e Entry, d *releasev1.ApprovalGiven) Approval {
	a := e.Event.GetActor()
	return Approval{
		Person: a.GetId(), Groups: a.GetGroups(), Given: e.Stored, Expires: d.GetExpires().AsTime(), Comment: d.GetComment(),
		ShownDigest: d.GetShownDigest(), Signature: d.GetSignature(),
	}.inPlace(d.GetStandIn())
}
