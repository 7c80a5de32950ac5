package driver_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

func TestKeys(t *testing.T) {
	for _, test := range []struct {
		key          driver.Key
		want, effect string
		wave         string
		rollback     bool
	}{
		{driver.ApplyKey("shop-k7q2", 0, 1), "shop-k7q2/0/1", "shop-k7q2/0/apply", "shop-k7q2/0", false},
		{driver.ApplyKey("shop-k7q2", 15, 4294967295/10), "shop-k7q2/15/429496729", "shop-k7q2/15/apply", "shop-k7q2/15", false},
		{driver.RollbackKey("shop-k7q2", 1, 2), "shop-k7q2/1/rollback-2", "shop-k7q2/1/rollback", "shop-k7q2/1", true},
	} {
		if err := test.key.Validate(); err != nil || string(test.key) != test.want {
			t.Errorf("%s: %v", test.key, err)
		}
		if test.key.Effect() != test.effect || test.key.Wave() != test.wave || test.key.IsRollback() != test.rollback {
			t.Errorf("%s: effect %s, wave %s, rollback %t", test.key, test.key.Effect(), test.key.Wave(), test.key.IsRollback())
		}
	}
}

func TestInFieldNamesEveryMistake(t *testing.T) {
	inner := errors.New("argv[0]: required")
	err := driver.InField("host", driver.InField("restart", errors.Join(inner, fmt.Errorf("env[A]: %w", driver.ErrInvalid))))
	if got, want := err.Error(), "host.restart.argv[0]: required\nhost.restart.env[A]: invalid"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, inner) || !errors.Is(err, driver.ErrInvalid) || driver.InField("x", nil) != nil {
		t.Errorf("the causes were lost: %v", err)
	}
}

func TestStatusHasAWordForEach(t *testing.T) {
	seen := make(map[string]bool)
	for s := driver.StatusUnknown; s <= driver.StatusSealed; s++ {
		seen[s.String()] = true
	}
	if len(seen) != 7 {
		t.Errorf("%v", seen)
	}
}
