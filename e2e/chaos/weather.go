package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// What systems around say in a spell; between spells nothing stands in the way.
const (
	// weatherAlert: an alert fires about the services that are watched.
	weatherAlert = "alert fires"
	// weatherMute: the source of alerts answers with an error.
	weatherMute = "alerts are not told"
	// weatherWindow: the window of every change record begins when the spell is over.
	weatherWindow = "window is to come"
	// weatherLost: the system of change records answers with an error.
	weatherLost = "change records are not told"
)

// weathers are the spells in their order.
var weathers = []string{weatherAlert, weatherMute, weatherWindow, weatherLost}

// watched are the services that the alert is about. Change records are looked up for all.
var watched = []string{"api", "shop"}

// saying is one answer of a system around, as it is written down before it is given.
type saying struct {
	Time time.Time `json:"time"`
	// Change is the change record that was asked for; empty where alerts were.
	Change string `json:"change,omitempty"`
	// Good says that nothing of the answer stands in the way.
	Good bool `json:"good"`
}

// weather is the systems around: an Alertmanager and a system of change records. What
// they say changes by turns, and every answer is written down. It may be asked by several
// at a time.
type weather struct {
	mu   sync.Mutex // guards what follows
	what string     // empty between spells
	ends time.Time
	file *os.File
	err  error // the first one
}

// weatherName is the file of the answers in the folder of the run.
const weatherName = "weather.jsonl"

func newWeather(dir string) (*weather, error) {
	file, err := os.OpenFile(filepath.Join(dir, weatherName), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return &weather{file: file}, err
}

// live has those spells by turns until the context ends, and leaves the weather fine.
func (w *weather) live(ctx context.Context, spells []string, random *rand.Rand) {
	for i := 0; ctx.Err() == nil; i++ {
		pause(ctx, time.Second+time.Duration(random.Int64N(int64(3*time.Second))))
		long := time.Second + time.Duration(random.Int64N(int64(3*time.Second)))
		w.set(spells[i%len(spells)], time.Now().Add(long))
		pause(ctx, long)
		w.set("", time.Time{})
	}
}

func (w *weather) set(what string, ends time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.what, w.ends = what, ends
}

// wrong is why not all answers are written down; nil where they are.
func (w *weather) wrong() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// ask returns the weather, with when it ends, and writes down the answer that follows from
// it: about a change record, or about alerts where there is none.
func (w *weather) ask(change string) (what string, ends time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	bad := []string{weatherAlert, weatherMute}
	if change != "" {
		bad = []string{weatherWindow, weatherLost}
	}
	line, err := json.Marshal(saying{time.Now(), change, !slices.Contains(bad, w.what)})
	if err == nil {
		_, err = w.file.Write(append(line, '\n'))
	}
	w.err = errors.Join(w.err, err)
	return w.what, w.ends
}

// handle answers as Alertmanager and as a system of change records do.
func (w *weather) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /alertmanager/api/v2/alerts", func(out http.ResponseWriter, _ *http.Request) {
		alerts := []any{}
		switch what, _ := w.ask(""); what {
		case weatherMute:
			out.WriteHeader(http.StatusBadGateway)
			return
		case weatherAlert:
			alerts = append(alerts, map[string]any{
				"labels":   map[string]string{"alertname": "Burns", "severity": "page"},
				"startsAt": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano),
				"status":   map[string]string{"state": "active"},
			})
		}
		answer(out, alerts)
	})
	mux.HandleFunc("GET /itsm/changes/{id}", func(out http.ResponseWriter, r *http.Request) {
		begins := time.Now().Add(-time.Hour)
		switch what, ends := w.ask(r.PathValue("id")); what {
		case weatherLost:
			out.WriteHeader(http.StatusServiceUnavailable)
			return
		case weatherWindow:
			// A little later: who was told so asks again when it begins.
			begins = ends.Add(100 * time.Millisecond)
		}
		answer(out, map[string]string{
			"key": r.PathValue("id"), "state": "Implement",
			"start": begins.UTC().Format(time.RFC3339Nano), "end": time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano),
		})
	})
}

func answer(out http.ResponseWriter, body any) {
	out.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(out).Encode(body)
}
