package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/shop"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The schedule by which releases are looked at again. A validator asks a few times in a minute
// what is due.
const (
	lookEvery = 5 * time.Second
	lookFor   = 5 * time.Minute
)

// pauseTime is how long a wave is looked at in which somebody has to pause the release.
const pauseTime = 5 * time.Second

// wayBack shows the way back of a release as the change of its own that it is: with an id, an
// outcome and a record, which the record of the release names by its digest.
func (s *story) wayBack(ctx context.Context, id, name string) error {
	s.line("The way back is a change of its own, with a record of its own. Each record names the other one:")
	if err := s.does(ctx, reader, "get", "--way-back-of", id); err != nil {
		return err
	}
	release, err := s.release(ctx, id)
	if err != nil {
		return err
	}
	if len(release.GetRollbacks()) != 1 {
		return fmt.Errorf("%s has %d ways back, not 1", id, len(release.GetRollbacks()))
	}
	back := release.GetRollbacks()[0].GetRollback()
	var ofRelease struct {
		Rollbacks []struct {
			Rollback, Outcome string
			RecordDigest      string `json:"record_digest"`
		}
	}
	if _, err := s.save(ctx, id, name, &ofRelease); err != nil {
		return err
	}
	var ofBack struct {
		WayBackOf string `json:"way_back_of"`
	}
	file, err := s.save(ctx, back, name+"-rb1", &ofBack)
	if err != nil {
		return err
	}
	if len(ofRelease.Rollbacks) != 1 || ofRelease.Rollbacks[0].Rollback != back || ofRelease.Rollbacks[0].Outcome != "OUTCOME_ROLLED_BACK" || ofBack.WayBackOf != id {
		return fmt.Errorf("the records of %s and %s do not name each other: %v, %v", id, back, ofRelease, ofBack)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	if ofRelease.Rollbacks[0].RecordDigest != "sha256:"+digest {
		return fmt.Errorf("the record of %s has the digest %s, and that of %s says %s", back, digest, id, ofRelease.Rollbacks[0].RecordDigest)
	}
	s.shell("sha256sum %s", s.short(file))
	s.quote(digest + "  " + s.short(file))
	s.line("That is its digest in the record of the release, and in an event that the recorder signed.")
	s.line("Whoever believes neither derives both again, from the events and with the keys alone:")
	return s.replay(ctx, id)
}

// save keeps a record in JSON, and reads it.
func (s *story) save(ctx context.Context, id, name string, into any) (string, error) {
	file := filepath.Join(s.records(), name+".json")
	if _, err := s.types(ctx, reader, exit.OK, "record", id, "-o", "json", "--out", s.short(file)); err != nil {
		return "", err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	return file, json.Unmarshal(content, into)
}

// replay derives a release again, and shows what came of it in the end.
func (s *story) replay(ctx context.Context, id string) error {
	said, err := s.types(ctx, reader, exit.OK, "replay", id, "--keyring", s.short(filepath.Join(s.Dir, "state", "config", "keyring.yaml")))
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(said), "\n")
	s.quote(with(said, " recorded "))
	s.quote(s.wrapped(lines[len(lines)-1]))
	return nil
}

// release is what the recorder has of a release.
func (s *story) release(ctx context.Context, id string) (*recorderv1.Release, error) {
	recorder, err := s.rig.Recorder()
	if err != nil {
		return nil, err
	}
	answer, err := recorder.GetRelease(ctx, &recorderv1.GetReleaseRequest{Release: id})
	return answer.GetRelease(), err
}

// paused has a person keep a release from its second wave, and another one let it go on.
func (s *story) paused(ctx context.Context, versions []shop.Artifact) error {
	s.title("5. Version 2.2.0: paused by a person between its two waves, and resumed by another")
	s.world.Rules.Version, s.world.Rules.LookEvery, s.world.Rules.LookFor = "1.2", lookEvery, lookFor
	if err := s.newProcedure(ctx); err != nil {
		return err
	}
	s.line("Procedure document 1.2 is in effect: what was verified is looked at again, for %g minutes.", lookFor.Minutes())
	id, err := s.submit(ctx, versions[4], "5-paused", func(r *releasev1.Request) {
		r.Validation.Bake = durationpb.New(pauseTime)
	})
	if err != nil {
		return err
	}
	if err := s.approve(ctx, id, "carol", "dave"); err != nil {
		return err
	}
	if _, err := s.until(ctx, id, func(r *recorderv1.Release) bool { return r.GetPhase() == "verify" || r.GetOutcome() != 0 }); err != nil {
		return err
	}
	if err := s.does(ctx, "erin", "pause", id, "--reason", "customers call; let me look at it"); err != nil {
		return err
	}
	held, err := s.until(ctx, id, func(r *recorderv1.Release) bool { return r.GetPhase() == "held" || r.GetOutcome() != 0 })
	if err != nil {
		return err
	}
	if !strings.Contains(held.GetSummary(), "It is paused by erin") {
		return fmt.Errorf("%s is not paused: %s", id, held.GetSummary())
	}
	s.line("  %s", s.Paint.Yellow(s.cut("held: "+terminal.Escape(held.GetSummary()), 2)))
	for i, want := range []shop.Artifact{versions[4], versions[3]} {
		if err := s.runsOn(ctx, s.world.Targets[i], want); err != nil {
			return err
		}
	}
	s.line("%s runs shop %s, and %s still runs shop %s", s.world.Targets[0], s.Paint.Bold(versions[4].Version), s.world.Targets[1], s.Paint.Bold(versions[3].Version))
	if err := s.does(ctx, "alice", "resume", id, "--reason", "it was the campaign, not the release"); err != nil {
		return err
	}
	if _, err := s.finish(ctx, id, releasev1.Outcome_OUTCOME_SUCCEEDED); err != nil {
		return err
	}
	if err := s.runs(ctx, versions[4]); err != nil {
		return err
	}
	s.later = id
	return s.record(ctx, id, "5-paused", "### Deviations")
}

// revoked has the release of the act before fail when it is looked at again.
func (s *story) revoked(ctx context.Context, versions []shop.Artifact) error {
	s.title("6. Version 2.2.0 again: it was verified, and is verified no more")
	id, target := s.later, s.world.Targets[1]
	if err := s.world.Halt(ctx, target); err != nil {
		return err
	}
	s.line("The shop dies on %s. Nobody is looking, and the validator looks again:", target)
	if err := s.told(ctx, "Escalation: verification revoked"); err != nil {
		return err
	}
	if err := s.eventually(ctx, "an open escalation of "+id, func() (bool, error) {
		r, err := s.release(ctx, id)
		return len(r.GetOpenEscalations()) > 0, err
	}); err != nil {
		return err
	}
	said, err := s.types(ctx, reader, exit.OK, "describe", id)
	if err != nil {
		return err
	}
	if !strings.Contains(said, "verified no more") {
		return fmt.Errorf("%s is verified still: %s", id, said)
	}
	lines := strings.Split(said, "\n")
	s.quote(with(said, "Outcome:"))
	for _, section := range []string{"Looked at again", "Escalations"} {
		s.quote("\n" + strings.Join(part(lines, section), "\n"))
	}
	s.line("Who takes it on has to say why:")
	said, err = s.types(ctx, "erin", exit.Usage, "acknowledge", id)
	if err != nil {
		return err
	}
	s.quote(said)
	if err := s.world.Resume(ctx); err != nil {
		return err
	}
	if err := s.acknowledge(ctx, "erin", id, "the machine ran out of memory; the shop is started again"); err != nil {
		return err
	}
	if err := s.runs(ctx, versions[4]); err != nil {
		return err
	}
	if err := s.closeIncident(ctx, "dave", id, "the shop answers again on both targets"); err != nil {
		return err
	}
	return s.record(ctx, id, "6-revoked", "## Incident")
}

// eventually looks until something is so.
func (s *story) eventually(ctx context.Context, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if is, err := so(); is || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-ticker.C:
		}
	}
}
