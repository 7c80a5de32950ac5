//go:build !kubernetes

package helm_test

import (
	"os"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver/helm/apart"
)

func TestMain(m *testing.M) {
	apart.Obey()
	os.Exit(m.Run())
}
