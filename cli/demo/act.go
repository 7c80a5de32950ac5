package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/e2e/shop"
	approvalv1 "github.com/blackdice/shipwarden/proto/shipwarden/approval/v1"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// patience bounds the wait for anything that happens by itself.
const patience = 3 * time.Minute

// write leaves a request as files that a person could send: YAML for the command, JSON
// for the plain client of the bus.
func (s *story) write(a shop.Artifact, name string, change func(*releasev1.Request)) (*releasev1.Request, error) {
	request, err := s.world.Request(a, name)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(request)
	}
	text, err := protoyaml.MarshalOptions{UseProtoNames: true}.Marshal(request)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.requestFile(name), text, 0o600); err != nil {
		return nil, err
	}
	body, err := protojson.Marshal(request)
	if err != nil {
		return nil, err
	}
	return request, os.WriteFile(strings.TrimSuffix(s.requestFile(name), ".yaml")+".json", body, 0o600)
}

func (s *story) requestFile(name string) string {
	return filepath.Join(s.Dir, "world", "requests", name+".yaml")
}

func (s *story) submit(ctx context.Context, a shop.Artifact, name string, change func(*releasev1.Request)) (string, error) {
	request, err := s.write(a, name, change)
	if err != nil {
		return "", err
	}
	s.typed("submit -f %s", s.short(s.requestFile(name)))
	answer, err := s.rig.Submit(ctx, request)
	if err != nil {
		return "", err
	}
	if answer.GetOutcome() != releasev1.Answer_OUTCOME_ACCEPTED {
		return "", fmt.Errorf("request %s was not accepted: %v", name, answer)
	}
	s.line("accepted as %s", s.Paint.Bold(answer.GetRelease()))
	return answer.GetRelease(), nil
}

// approve gives people's approvals, of exactly what they are shown.
func (s *story) approve(ctx context.Context, id string, people ...string) error {
	release, err := s.until(ctx, id, func(r *recorderv1.Release) bool { return r.GetPhase() == "approve" || r.GetOutcome() != 0 })
	if err != nil {
		return err
	}
	if release.GetPhase() != "approve" {
		return fmt.Errorf("%s does not wait for approvals: %s", id, release.GetSummary())
	}
	s.steps(release, "1", "2", "3")
	for _, person := range people {
		client, err := s.rig.As(person)
		if err != nil {
			return err
		}
		seen, err := client.GetPending(ctx, &approvalv1.GetPendingRequest{Release: id})
		if err != nil {
			return err
		}
		p := seen.GetPending()
		s.typed("approve %s --digest %s…   # as %s", id, p.GetChangeDigest()[:19], person)
		if _, err := client.Approve(ctx, &approvalv1.ApproveRequest{
			Release: id, ChangeDigest: p.GetChangeDigest(), ShownDigest: p.GetShownDigest(),
		}); err != nil {
			return err
		}
	}
	return nil
}

// ends begin the notice that tells of an outcome.
var ends = map[releasev1.Outcome]string{
	releasev1.Outcome_OUTCOME_SUCCEEDED:   "Release succeeded",
	releasev1.Outcome_OUTCOME_ROLLED_BACK: "Release rolled back",
}

// finish waits for the release's end and shows the steps since the approvals.
func (s *story) finish(ctx context.Context, id string, want releasev1.Outcome) (*recorderv1.Release, error) {
	r, err := s.until(ctx, id, func(r *recorderv1.Release) bool {
		return r.GetOutcome() != 0 && (r.GetPhase() == "follow_up" || r.GetPhase() == "closed")
	})
	if err != nil {
		return nil, err
	}
	s.steps(r, "A", "4", "5", "6", "7", "8")
	color := s.Paint.Green
	if want != releasev1.Outcome_OUTCOME_SUCCEEDED {
		color = s.Paint.Yellow
	}
	s.line("outcome: %s", color(terminal.Word(r.GetOutcome(), "OUTCOME_")))
	if err := s.told(ctx, ends[want]); err != nil {
		return nil, err
	}
	if r.GetOutcome() != want {
		return nil, fmt.Errorf("%s ended as %s: %s", id, r.GetOutcome(), r.GetSummary())
	}
	return r, nil
}

// told shows what stakeholders were told since the last time, as soon as it ends so.
func (s *story) told(ctx context.Context, last string) error {
	heard, err := s.notices(ctx, last)
	for _, notice := range heard {
		s.line("  #operations %s", s.Paint.Faint(terminal.Escape(notice)))
	}
	return err
}

func (s *story) steps(r *recorderv1.Release, numbers ...string) {
	for _, step := range r.GetSteps() {
		for _, n := range numbers {
			if step.GetNumber() != n || step.GetStatus() == recorderv1.Step_STATUS_SKIPPED {
				continue
			}
			mark := s.Paint.Green("✓")
			switch step.GetStatus() { //nolint:exhaustive // The ones that are no success.
			case recorderv1.Step_STATUS_FAILED:
				mark = s.Paint.Red("✗")
			case recorderv1.Step_STATUS_BYPASSED, recorderv1.Step_STATUS_WAITING, recorderv1.Step_STATUS_RUNNING:
				mark = s.Paint.Yellow("!")
			}
			s.line("  %s %s %-10s %s", mark, n, step.GetName(), s.cut(terminal.Escape(step.GetDetail()), 17))
		}
	}
}

func (s *story) until(ctx context.Context, id string, so func(*recorderv1.Release) bool) (*recorderv1.Release, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.rig.Until(ctx, id, so)
}

// runs looks at the targets themselves.
func (s *story) runs(ctx context.Context, a shop.Artifact) error {
	for _, target := range s.world.Targets {
		if err := s.runsOn(ctx, target, a); err != nil {
			return err
		}
	}
	s.line("both targets run shop %s", s.Paint.Bold(a.Version))
	return nil
}

// runsOn looks at one of them.
func (s *story) runsOn(ctx context.Context, target string, a shop.Artifact) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.world.URL(target)+"/digest", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), a.Digest) {
		return fmt.Errorf("target %s runs %s, not shop %s (%s)", target, body, a.Version, a.Digest)
	}
	return nil
}

// record keeps the deployment record as a document, and shows what it says in words, and these
// parts of it, each by how it begins.
func (s *story) record(ctx context.Context, id, name string, parts ...string) error {
	if err := s.eventually(ctx, "the end of "+id, func() (bool, error) {
		r, err := s.release(ctx, id)
		return r.GetClosed(), err
	}); err != nil {
		return err
	}
	recorder, err := s.rig.Recorder()
	if err != nil {
		return err
	}
	s.typed("record %s", id)
	r, err := recorder.GetRecord(ctx, &recorderv1.GetRecordRequest{Release: id, Format: recorderv1.GetRecordRequest_FORMAT_MARKDOWN})
	if err != nil {
		return err
	}
	file := filepath.Join(s.records(), name+".md")
	if err := os.WriteFile(file, r.GetDocument(), 0o644); err != nil { //nolint:gosec // Records are there to be read.
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(r.GetDocument())), "\n")
	s.quote(lines[0])
	for _, begins := range append([]string{"**"}, parts...) {
		p := part(lines, begins)
		if len(p) == 0 {
			return fmt.Errorf("the record of %s has no %q", id, begins)
		}
		s.quote("\n" + s.wrapped(strings.Join(p, "\n")))
	}
	s.quote(fmt.Sprintf("\n… all of its %d lines are in %s", len(lines), s.short(file)))
	return nil
}

// records is the folder of records.
func (s *story) records() string { return filepath.Join(s.Dir, "records") }

// part is what begins so in a document, up to the next empty line. Of a heading it is what
// comes below it as well.
func part(lines []string, begins string) []string {
	from := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, begins) })
	if from < 0 {
		return nil
	}
	below := from
	if strings.HasPrefix(lines[from], "#") {
		below = min(from+2, len(lines))
	}
	to := slices.Index(lines[below:], "")
	if to < 0 {
		to = len(lines) - below
	}
	return lines[from : below+to]
}
