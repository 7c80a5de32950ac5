//go:build kubernetes

package helm_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/helm"
)

// What another target has placed is no record, whatever it says.
func TestWhatAnotherTargetHasPlacedIsNoRecord(t *testing.T) {
	w := open(t)
	w.admin.Must(t, http.MethodPost, w.path("configmaps"), map[string]any{
		"metadata": map[string]any{"name": "shipwarden-shop-1", "labels": map[string]any{"shipwarden.github.io/target": "other"}},
		"data":     map[string]any{"record": `{"carries": "` + plan(3).Artifact.Digest + `"}`},
	})
	if got, err := w.driver(t, config(w.folder), helm.Options{}).Running(t.Context()); !errors.Is(err, driver.ErrConflict) {
		t.Errorf("it carries %q, %v", got, err)
	}
}
