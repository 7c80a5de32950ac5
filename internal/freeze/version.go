package freeze

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// ZoneData names the time zone database that answers of this process go by: its version,
// and where it comes from. Governments change their clocks at short notice, and two
// machines that disagree about a freeze may differ in nothing else (N-14).
var ZoneData = sync.OnceValue(func() string {
	places := []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}
	if own := os.Getenv("ZONEINFO"); own != "" {
		places = append([]string{own}, places...)
	}
	return zoneData(places)
})

// zoneData looks where time.LoadLocation looks, in the same order.
func zoneData(places []string) string {
	for _, place := range places {
		if _, err := os.Stat(filepath.Join(place, "Europe", "Berlin")); err != nil {
			continue
		}
		return "tzdata " + version(place) + " of the system"
	}
	return "tzdata of " + runtime.Version()
}

// version reads the version that a database says it is.
func version(place string) string {
	for _, name := range []string{"tzdata.zi", "+VERSION", "version"} {
		file, err := os.Open(filepath.Join(place, name))
		if err != nil {
			continue
		}
		line := bufio.NewScanner(file)
		found := line.Scan()
		_ = file.Close() // It was only read.
		word := strings.TrimPrefix(line.Text(), "# version ")
		if found && word != "" && len(word) <= 32 && !strings.ContainsAny(word, " #") {
			return word
		}
	}
	return "without a version"
}
