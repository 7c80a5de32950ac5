package document

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/blackdice/shipwarden/services/recorder/view"
)

// none stands in a cell of which there is nothing to say.
const none = "–"

// word is an enum's value in words; what is not set has none.
func word(value fmt.Stringer, prefix string) string {
	w := strings.ReplaceAll(view.Word(value, prefix), "_", " ")
	if w == "unspecified" {
		return none
	}
	return w
}

// stamp is the one form that times have in the document.
func stamp(t time.Time) string {
	if t.IsZero() {
		return none
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 UTC")
}

// at is stamp for a time of the contract.
func at(t *timestamppb.Timestamp) string {
	if t == nil {
		return none
	}
	return stamp(t.AsTime())
}

// span is a duration for reading: two units at most, none of them a fraction but
// that of seconds.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return none
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d < time.Hour:
		return units(d, time.Minute, "min", time.Second, "s")
	case d < 48*time.Hour:
		return units(d, time.Hour, "h", time.Minute, "min")
	}
	return units(d, 24*time.Hour, "d", time.Hour, "h")
}

func units(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	if rest := d % large / small; rest > 0 {
		return fmt.Sprintf("%d %s %d %s", d/large, largeName, rest, smallName)
	}
	return fmt.Sprintf("%d %s", d/large, largeName)
}

// millis is span for what the record keeps in milliseconds.
func millis(ms int64) string { return span(time.Duration(ms) * time.Millisecond) }

// size is a number of bytes for reading.
func size(bytes int64) string {
	switch {
	case bytes < 10_000:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(bytes)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1_000_000)
}

// count is a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// and joins what is Markdown already, as in a sentence.
func and(all []string) string {
	switch len(all) {
	case 0:
		return none
	case 1:
		return all[0]
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}

// escaped escapes each of the texts.
func escaped(all []string) []string {
	out := make([]string, 0, len(all))
	for _, s := range all {
		out = append(out, escape(s))
	}
	return out
}

// series is a list in a cell.
func series(all []string) string {
	if len(all) == 0 {
		return none
	}
	return strings.Join(escaped(all), ", ")
}

// sentence ends with exactly one full stop.
func sentence(text string) string { return strings.TrimRight(text, ". ") + "." }

// because adds a reason that somebody gave.
func because(what, why string) string {
	if why == "" || why == none {
		return what
	}
	return what + ": " + why
}

// capital begins a sentence.
func capital(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// answer is a truth in words.
func answer(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}
