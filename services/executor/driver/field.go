package driver

import (
	"errors"
	"fmt"
)

// InField puts a field's name before an error of the configuration, or before
// each of those that errors.Join joined: "argv[0]: …" in the field restart becomes
// "restart.argv[0]: …".
func InField(field string, err error) error {
	if err == nil {
		return nil
	}
	// Only a join is taken apart; an error that wraps one has something to say.
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return fmt.Errorf("%s.%w", field, err)
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, InField(field, e))
	}
	return errors.Join(all...)
}
