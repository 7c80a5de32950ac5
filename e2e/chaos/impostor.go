package chaos

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/e2e/rig"
	"github.com/blackdice/shipwarden/internal/envelope"
	"github.com/blackdice/shipwarden/internal/eventstore"
	"github.com/blackdice/shipwarden/procedure"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// impostor is somebody who has taken the approval service over: they have its key, and
// write what it may write. They authorize releases that nobody wants, with approvals in
// other people's names: signed with a key of their own, or with signatures that these
// people gave for something else. None of it may be executed (PD-A.4).
type impostor struct {
	run   *run
	store *eventstore.Store
	key   ssh.Signer
}

// authorizers are those in whose names, and the groups for which.
var authorizers = []struct{ person, group string }{{"carol", "release-managers"}, {"erin", "sre"}}

func newImpostor(r *run) (*impostor, error) {
	key, err := rig.Key(r.plant.secretFile(procedure.ServiceApproval + ".pem"))
	if err != nil {
		return nil, err
	}
	signer, err := envelope.NewSigner(procedure.ServiceApproval+"-1", procedure.ServiceApproval, key)
	if err != nil {
		return nil, err
	}
	own, err := stranger()
	return &impostor{run: r, store: eventstore.New(r.js, r.ring, signer, time.Now), key: own}, err
}

// live waits for releases that wait for approvals, and that nobody approves.
func (i *impostor) live(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 300*time.Millisecond)
		for _, s := range i.run.watcher.open() {
			if p := i.run.planned[s.Release]; s.Phase == procedure.PhaseApprove && p.Fate == fateNeglected && p.Forged {
				bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
				i.authorize(bounded, s.Release)
				cancel()
			}
		}
	}
}

// authorize writes the approvals, and that they suffice. It stops where somebody else
// writes in between, and tries again at the next look.
func (i *impostor) authorize(ctx context.Context, release string) {
	for _, who := range authorizers {
		err := i.write(ctx, release, func(s procedure.State) (*releasev1.Event, error) {
			if slices.ContainsFunc(s.Approvals, func(a procedure.Approval) bool { return a.Person == who.person }) {
				return nil, nil //nolint:nilnil // It is there.
			}
			return i.approval(s, who.person, who.group)
		})
		if err != nil {
			return
		}
	}
	_ = i.write(ctx, release, func(s procedure.State) (*releasev1.Event, error) {
		event := procedure.DecideAuthorize(s, time.Now(), time.Minute, time.Time{})
		if event != nil {
			event.Actor = &releasev1.Actor{Id: "carol", Kind: releasev1.Actor_KIND_HUMAN, Method: "token", Groups: []string{"release-managers"}}
		}
		return event, nil
	})
}

// approval is one in somebody's name.
func (i *impostor) approval(s procedure.State, person, group string) (*releasev1.Event, error) {
	expires := time.Now().Add(time.Minute)
	a := procedure.Approval{Person: person, ShownDigest: digestOf("whatever they would have been shown")}
	signature, err := sign(s, a, expires, i.key)
	if err != nil {
		return nil, err
	}
	if other := i.other(person); other != nil && person == authorizers[0].person {
		// It is theirs, and for another release.
		signature.Armored = other.GetArmored()
	}
	return &releasev1.Event{
		Actor: &releasev1.Actor{Id: person, Kind: releasev1.Actor_KIND_HUMAN, Method: "token", Groups: []string{group}},
		Data: &releasev1.Event_ApprovalGiven{ApprovalGiven: &releasev1.ApprovalGiven{
			ChangeDigest: s.ChangeDigest, Expires: timestamppb.New(expires), ShownDigest: a.ShownDigest, Signature: signature,
		}},
	}, nil
}

// other is a signature that the person gave.
func (i *impostor) other(person string) *releasev1.ApprovalSignature {
	for _, s := range i.run.watcher.open() {
		for _, a := range s.Approvals {
			if a.Person == person && a.Signature != nil {
				return a.Signature
			}
		}
	}
	return nil
}

// write stores what is to be said of the release as it is now; nil: nothing.
func (i *impostor) write(ctx context.Context, release string, what func(procedure.State) (*releasev1.Event, error)) error {
	h, err := i.store.Load(ctx, procedure.Aggregate(release))
	if err != nil {
		return err
	}
	state, _ := procedure.Fold(release, h.Entries)
	event, err := what(state)
	if err != nil || event == nil {
		return err
	}
	event.ProcedureDigest, event.Decided = state.ProcedureDigest, timestamppb.Now()
	_, err = i.store.Append(ctx, eventstore.Draft{Aggregate: h.Aggregate, Expect: h.Last, Previous: state.Head.Previous(), Event: event})
	return err
}

// refusedAsForged reports whether an executor refused the release because somebody did not
// sign what they are said to have approved.
func refusedAsForged(counted []procedure.Entry) bool {
	return slices.ContainsFunc(counted, func(e procedure.Entry) bool {
		return slices.ContainsFunc(e.Event.GetExecutionRefused().GetFindings(), func(f *releasev1.Finding) bool {
			return strings.HasPrefix(f.GetRule(), "approval.signature")
		})
	})
}
