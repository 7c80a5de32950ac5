package inspect

import (
	"fmt"

	"golang.org/x/mod/semver"
	"google.golang.org/protobuf/encoding/protowire"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// The fields of the message in a saved plan that are read, of Terraform and OpenTofu alike.
const (
	planVersion  = 1  // of the format
	planChanges  = 3  // one for each resource
	planTool     = 14 // the version of the program
	planErrored  = 20 // whether it broke off
	planDeferred = 27 // one for each change that is put off
	planInvoked  = 30 // one for each action of a provider

	changeDeposed = 7
	changeAction  = 9 // a message, of which the action is field 1
	changeAddress = 13

	actionOfChange = 1
)

// How the fields that are read are written. A reader of protobuf passes over one that is
// written otherwise, as if it were not there: read here, it would show people another plan
// than the one that Terraform applies.
var (
	planKinds = map[protowire.Number]protowire.Type{
		planVersion: protowire.VarintType, planChanges: protowire.BytesType, planTool: protowire.BytesType,
		planErrored: protowire.VarintType, planDeferred: protowire.BytesType, planInvoked: protowire.BytesType,
	}
	changeKinds = map[protowire.Number]protowire.Type{
		changeDeposed: protowire.BytesType, changeAction: protowire.BytesType, changeAddress: protowire.BytesType,
	}
	actionKinds = map[protowire.Number]protowire.Type{actionOfChange: protowire.VarintType}
)

// readAction is the action of a saved plan that only reads.
const readAction = 2

// savedActions are the actions of a saved plan that change something.
var savedActions = map[uint64]releasev1.ResourceChange_Action{
	1: releasev1.ResourceChange_ACTION_CREATE,
	3: releasev1.ResourceChange_ACTION_UPDATE,
	5: releasev1.ResourceChange_ACTION_DELETE,
	6: releasev1.ResourceChange_ACTION_REPLACE,
	7: releasev1.ResourceChange_ACTION_REPLACE,
	8: releasev1.ResourceChange_ACTION_FORGET,
	9: releasev1.ResourceChange_ACTION_CREATE_AND_FORGET,
}

// savedPlan reads the message of a saved plan.
func savedPlan(body []byte) (Plan, error) {
	var format, errored uint64
	var version string
	var all []*releasev1.ResourceChange
	var invoke, deferred int
	err := fields(body, planKinds, func(number protowire.Number, n uint64, value []byte) error {
		switch number { //nolint:exhaustive // The others are bounds of numbers, and of fields that are not read.
		case planVersion:
			format = n
		case planTool:
			version = string(value)
		case planErrored:
			errored = n
		case planInvoked:
			invoke++
		case planDeferred:
			deferred++
		case planChanges:
			c, err := savedChange(value)
			if c != nil {
				all = append(all, c)
			}
			return err
		}
		return nil
	})
	switch {
	case err != nil:
		return Plan{}, err
	case format != planFormat:
		return Plan{}, fmt.Errorf("%s has format %d, must be %d: %w", planFile, format, planFormat, ErrKind)
	case len(version) > 64 || !semver.IsValid("v"+version):
		return Plan{}, fmt.Errorf("%s was made by version %.80q: %w", planFile, version, ErrKind)
	case errored != 0:
		return Plan{}, fmt.Errorf("%s is of a run that failed, and can never be applied: %w", planFile, ErrKind)
	}
	out := changes(all, false)
	out.Invoke, out.Deferred = count(invoke), count(deferred)
	return Plan{version, out}, nil
}

// savedChange reads what becomes of one resource; nil where nothing does.
func savedChange(body []byte) (*releasev1.ResourceChange, error) {
	var address, key string
	var action uint64
	err := fields(body, changeKinds, func(number protowire.Number, _ uint64, value []byte) error {
		switch number { //nolint:exhaustive // The others are bounds of numbers, and of fields that are not read.
		case changeAddress:
			address = string(value)
		case changeDeposed:
			key = string(value)
		case changeAction:
			return fields(value, actionKinds, func(number protowire.Number, n uint64, _ []byte) error {
				if number == actionOfChange {
					action = n
				}
				return nil
			})
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case address == "":
		return nil, fmt.Errorf("%s has a change without an address: %w", planFile, ErrKind)
	case action == 0, action == readAction, reads(address):
		return nil, nil //nolint:nilnil // Nothing changes, and nothing is wrong.
	case savedActions[action] == releasev1.ResourceChange_ACTION_UNSPECIFIED:
		return nil, fmt.Errorf("%s does to %.120q what is not known here (action %d): %w", planFile, address, action, ErrKind)
	}
	return &releasev1.ResourceChange{Address: deposed(address, key), Action: savedActions[action]}, nil
}

// fields calls for every field of a message, with its number or its bytes. One of kinds that
// is written as anything else is refused.
func fields(body []byte, kinds map[protowire.Number]protowire.Type, each func(number protowire.Number, n uint64, value []byte) error) error {
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return fmt.Errorf("%s is no plan: %w", planFile, ErrKind)
		}
		body = body[n:]
		if want, read := kinds[number]; read && kind != want {
			return fmt.Errorf("%s has field %d as wire type %d, must be %d: %w", planFile, number, kind, want, ErrKind)
		}
		var of uint64
		var value []byte
		switch kind {
		case protowire.VarintType:
			of, n = protowire.ConsumeVarint(body)
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(body)
		default:
			n = protowire.ConsumeFieldValue(number, kind, body)
		}
		if n < 0 {
			return fmt.Errorf("%s is no plan: %w", planFile, ErrKind)
		}
		body = body[n:]
		if err := each(number, of, value); err != nil {
			return err
		}
	}
	return nil
}
