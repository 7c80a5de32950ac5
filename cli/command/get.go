package command

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/cli/show"
	"github.com/blackdice/shipwarden/cli/terminal"
	"github.com/blackdice/shipwarden/procedure"
	recorderv1 "github.com/blackdice/shipwarden/proto/shipwarden/recorder/v1"
	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// maxPage is the largest page that the recorder gives.
const maxPage = 500

// listing is what the flags of get say.
type listing struct {
	filter       recorderv1.Filter
	outcomes     []string
	since, until string
	ended        [2]string
	limit        int
	events       bool
	form         *form
}

func newGet(a *app) *cobra.Command {
	l := &listing{}
	cmd := &cobra.Command{
		Use:     "get [RELEASE]",
		Aliases: []string{"list"},
		Short:   "List releases, or show one",
		Long:    "Lists releases, the newest first; all filters that are given must hold.",
		Example: "  shipwarden get --open\n" +
			"  shipwarden get --service shop --environment production --outcome rolled-back --since 720h\n" +
			"  shipwarden get --digest sha256:… -o name\n" +
			"  shipwarden get --rollbacks --outcome rollback-failed --outcome rollback-unavailable\n" +
			"  shipwarden get shop-k7q2m3xw5d8ta4bc -o json --events",
		Args:              optionalRelease,
		ValidArgsFunction: a.complete(false),
		RunE: a.run(func(cmd *cobra.Command, args []string) error {
			if err := l.form.check(); err != nil {
				return err
			}
			if err := l.check(len(args) == 1); err != nil {
				return err
			}
			if len(args) == 1 {
				return a.getOne(cmd.Context(), args[0], l)
			}
			return a.list(cmd.Context(), l)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&l.filter.Service, "service", "", "only releases of this service")
	f.StringVar(&l.filter.Environment, "environment", "", "only to this environment")
	f.StringVar(&l.filter.Target, "target", "", "only with this target")
	f.StringVar(&l.filter.Phase, "phase", "", "only in this phase, such as approve")
	f.StringSliceVar(&l.outcomes, "outcome", nil, "only with this outcome, such as rolled-back; may be repeated")
	f.StringVar(&l.filter.Person, "person", "", "only those in which this person had a part")
	f.StringVar(&l.filter.ArtifactDigest, "digest", "", "only with this artifact, sha256:…")
	f.BoolVar(&l.filter.Open, "open", false, "only those to which something can still happen")
	f.StringVar(&l.since, "since", "", "only requested since then: a time, a date, or a duration such as 24h")
	f.StringVar(&l.until, "until", "", "only requested before then, in the same forms")
	f.StringVar(&l.ended[0], "ended-since", "", "only those that ended since then, in the same forms")
	f.StringVar(&l.ended[1], "ended-until", "", "only those that ended before then, in the same forms")
	f.BoolVar(&l.filter.OpenFollowUps, "open-follow-ups", false, "only those after which something is still to be done")
	f.BoolVar(&l.filter.Rollbacks, "rollbacks", false, "also ways back of releases, as changes of their own")
	f.StringVar(&l.filter.WayBackOf, "way-back-of", "", "only the ways back of this release")
	f.IntVar(&l.limit, "limit", 50, "at most so many, 0 for all")
	f.BoolVar(&l.events, "events", false, "with one release and json or yaml: its events too")
	l.form = outputFlag(cmd, formTable, formWide, formJSON, formYAML, formName)
	_ = cmd.RegisterFlagCompletionFunc("outcome", cobra.FixedCompletions(outcomeWords(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("phase", cobra.FixedCompletions(phaseWords(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// check refuses what would be ignored in silence, or match nothing for ever.
func (l *listing) check(one bool) error {
	if phase := l.filter.GetPhase(); phase != "" && !slices.Contains(phaseWords(), phase) {
		return oneOf("phase", phase, phaseWords()...)
	}
	if l.events && (!one || l.form.value != formJSON && l.form.value != formYAML) {
		return exit.Withf(exit.Usage, "--events: only with one release and -o json or -o yaml")
	}
	return checkLimit(l.limit)
}

// checkLimit refuses numbers that are none of releases.
func checkLimit(limit int) error {
	if limit < 0 {
		return exit.Withf(exit.Usage, "--limit %d: must be 0, for all, or more", limit)
	}
	return nil
}

// phaseWords are the phases in which a release can be, in their order.
func phaseWords() []string {
	var out []string
	for p := procedure.PhaseNone + 1; p <= procedure.PhaseClosed; p++ {
		out = append(out, p.String())
	}
	return out
}

func optionalRelease(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return oneRelease(cmd, args)
}

func (a *app) getOne(ctx context.Context, release string, l *listing) error {
	client, done, err := a.recorder()
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := a.call(ctx)
	defer cancel()
	answer, err := whole(ctx, client, &recorderv1.GetReleaseRequest{Release: release, Events: l.events})
	if err != nil {
		return exit.Call("get "+release, err)
	}
	if l.events {
		if done, err := a.message(l.form, answer); done || err != nil {
			return err
		}
	}
	if done, err := a.message(l.form, answer.GetRelease()); done || err != nil {
		return err
	}
	return a.releases(l.form, []*recorderv1.Release{answer.GetRelease()})
}

// whole gets a release with all of its events, where they are wanted, answer by answer.
func whole(ctx context.Context, client recorderv1.RecorderServiceClient, request *recorderv1.GetReleaseRequest) (*recorderv1.GetReleaseResponse, error) {
	var events []*recorderv1.RecordedEvent
	for {
		answer, err := client.GetRelease(ctx, request)
		if err != nil {
			return nil, err
		}
		events = append(events, answer.GetEvents()...)
		if more := answer.GetEvents(); answer.GetMoreEvents() && len(more) > 0 {
			request.EventsAfter = more[len(more)-1].GetSequence()
			continue
		}
		answer.Events, answer.MoreEvents = events, false
		return answer, nil
	}
}

func (a *app) list(ctx context.Context, l *listing) error {
	request, err := l.request(time.Now())
	if err != nil {
		return err
	}
	client, done, err := a.recorder()
	if err != nil {
		return err
	}
	defer done()
	all, more, err := a.pages(ctx, client, request, l.limit)
	if err != nil {
		return err
	}
	if more {
		a.say("there are more; --limit 0 gets all")
	}
	if done, err := a.message(l.form, all); done || err != nil {
		return err
	}
	if len(all.GetReleases()) == 0 && l.form.value != formName {
		a.say("no releases")
		return nil
	}
	return a.releases(l.form, all.GetReleases())
}

// pages asks page by page until the limit is reached, and reports whether there is
// more. As of which event the answer holds is told by its first page.
func (a *app) pages(ctx context.Context, client recorderv1.RecorderServiceClient, request *recorderv1.ListReleasesRequest, limit int) (*recorderv1.ListReleasesResponse, bool, error) {
	out := &recorderv1.ListReleasesResponse{}
	for {
		size := maxPage
		if limit > 0 {
			size = min(maxPage, limit-len(out.GetReleases()))
		}
		request.PageSize = int32(size)
		page, err := func() (*recorderv1.ListReleasesResponse, error) {
			ctx, cancel := a.call(ctx)
			defer cancel()
			return client.ListReleases(ctx, proto.CloneOf(request))
		}()
		if err != nil {
			return nil, false, exit.Call("list releases", err)
		}
		if out.GetAsOfSequence() == 0 {
			out.AsOfSequence = page.GetAsOfSequence()
		}
		out.Releases = append(out.Releases, page.GetReleases()...)
		request.PageToken = page.GetNextPageToken()
		if request.GetPageToken() == "" || limit > 0 && len(out.GetReleases()) >= limit {
			return out, request.GetPageToken() != "", nil
		}
	}
}

func (a *app) releases(f *form, all []*recorderv1.Release) error {
	if f.value == formName {
		for _, r := range all {
			fmt.Fprintln(a.out, terminal.Escape(r.GetRelease()))
		}
		return nil
	}
	return show.Releases(a.out, all, f.value == formWide)
}

func (l *listing) request(now time.Time) (*recorderv1.ListReleasesRequest, error) {
	filter := &l.filter
	for _, o := range l.outcomes {
		value, ok := releasev1.Outcome_value["OUTCOME_"+strings.ToUpper(strings.ReplaceAll(o, "-", "_"))]
		if !ok || value == 0 {
			return nil, oneOf("outcome", o, outcomeWords()...)
		}
		filter.Outcomes = append(filter.Outcomes, releasev1.Outcome(value))
	}
	var err error
	if filter.RequestedAfter, err = moment("since", l.since, now); err != nil {
		return nil, err
	}
	if filter.RequestedBefore, err = moment("until", l.until, now); err != nil {
		return nil, err
	}
	if after, before := filter.GetRequestedAfter(), filter.GetRequestedBefore(); after != nil && before != nil && !after.AsTime().Before(before.AsTime()) {
		return nil, exit.Withf(exit.Usage, "--since %s is not before --until %s: nothing lies between them", l.since, l.until)
	}
	if filter.EndedAfter, err = moment("ended-since", l.ended[0], now); err != nil {
		return nil, err
	}
	if filter.EndedBefore, err = moment("ended-until", l.ended[1], now); err != nil {
		return nil, err
	}
	if after, before := filter.GetEndedAfter(), filter.GetEndedBefore(); after != nil && before != nil && !after.AsTime().Before(before.AsTime()) {
		return nil, exit.Withf(exit.Usage, "--ended-since %s is not before --ended-until %s: nothing lies between them", l.ended[0], l.ended[1])
	}
	return &recorderv1.ListReleasesRequest{Filter: filter}, nil
}

func outcomeWords() []string {
	var out []string
	for i := int32(1); releasev1.Outcome_name[i] != ""; i++ {
		out = append(out, terminal.Word(releasev1.Outcome(i), "OUTCOME_"))
	}
	return out
}

// moment reads a time: RFC 3339, a date (its beginning in UTC), or a duration before
// now.
func moment(flag, value string, now time.Time) (*timestamppb.Timestamp, error) {
	if value == "" {
		return nil, nil //nolint:nilnil // no bound
	}
	if d, err := time.ParseDuration(value); err == nil && d >= 0 {
		return timestamppb.New(now.Add(-d)), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			return timestamppb.New(t), nil
		}
	}
	return nil, exit.Withf(exit.Usage, "--%s %q: expected a time such as 2026-11-02T10:00:00Z, a date, or a duration such as 24h", flag, value)
}
