package ledger_test

import (
	"testing"

	"github.com/blackdice/shipwarden/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
