package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blackdice/shipwarden/cli/exit"
	"github.com/blackdice/shipwarden/internal/freeze"
	policyv1 "github.com/blackdice/shipwarden/proto/shipwarden/policy/v1"
)

func newCalendar(a *app) *cobra.Command {
	var zone string
	cmd := &cobra.Command{
		Use:   "calendar FILE --time-zone ZONE",
		Short: "Make the section of a procedure document out of an iCalendar file",
		Long: "Prints the section `calendar` of a freeze, made of an iCalendar file (.ics). It stands in\n" +
			"the procedure document itself, so that the document's digest covers it. What says\n" +
			"nothing about time is left out: descriptions, places, people's addresses. What is not\n" +
			"understood is refused. Times without a zone, and whole days, are those of the zone given.",
		Example: "  shipwarden calendar holidays.ics --time-zone Europe/Berlin",
		Args:    cobra.ExactArgs(1),
		RunE: a.run(func(_ *cobra.Command, args []string) error {
			data, name, err := a.readFile(args[0])
			if err != nil {
				return exit.With(exit.Usage, err)
			}
			if _, err := freeze.Zone(zone); err != nil {
				return exit.Withf(exit.Usage, "--time-zone %q: no time zone of the IANA database, such as Europe/Berlin", zone)
			}
			reduced, err := freeze.Reduce(&policyv1.Calendar{Icalendar: string(data), TimeZone: zone})
			if err != nil {
				text := err.Error()
				if errors.Is(err, freeze.ErrWindow) {
					text = strings.TrimPrefix(text, freeze.ErrWindow.Error()+": ")
				}
				return exit.Withf(exit.Failed, "%s: %s", name, text)
			}
			fmt.Fprintf(a.out, "calendar:\n  time_zone: %s\n  icalendar: |\n", reduced.GetTimeZone())
			for line := range strings.Lines(reduced.GetIcalendar()) {
				fmt.Fprintf(a.out, "    %s", line)
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&zone, "time-zone", "", "the IANA time zone of whole days, and of times that name none")
	_ = cmd.MarkFlagRequired("time-zone")
	return cmd
}
