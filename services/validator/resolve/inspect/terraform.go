package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What a saved plan of Terraform and OpenTofu is made of: a zip with the plan as a
// protobuf message, and the state and configuration that it was made from.
const (
	planFile   = "tfplan"
	stateFile  = "tfstate"
	configPart = "tfconfig/"

	planFormat = 3 // of the message, in its field 1
)

// TerraformPlan reads a saved plan: the version that made it, and what it would change. The
// values of attributes are written as only the providers' schemas tell, so that which of
// them change is not known here; its JSON form says it (TerraformPlanJSON).
func TerraformPlan(content io.Reader) (plan Plan, err error) {
	parts := map[string]bool{}
	err = walk(content, Small, func(name string, file io.Reader) error {
		switch {
		case name == planFile:
			body, err := io.ReadAll(file)
			if err != nil {
				return err
			}
			if plan, err = savedPlan(body); err != nil {
				return err
			}
			parts[planFile] = true
		case name == stateFile:
			parts[stateFile] = true
			return terraformState(file)
		case strings.HasPrefix(name, configPart):
			parts[configPart] = true
		}
		return nil
	})
	if err != nil {
		return Plan{}, err
	}
	for _, part := range []string{planFile, stateFile, configPart} {
		if !parts[part] {
			return Plan{}, fmt.Errorf("it holds no %s, so it is no saved plan: %w", part, ErrKind)
		}
	}
	return plan, nil
}

// terraformState reads as much of a state as says what it is.
func terraformState(file io.Reader) error {
	var state struct {
		Version int `json:"version"`
	}
	err := json.NewDecoder(file).Decode(&state)
	if errors.Is(err, ErrKind) {
		return err
	}
	if err != nil || state.Version != 4 {
		return fmt.Errorf("%s is no state of version 4: %w", stateFile, ErrKind)
	}
	return nil
}

// TerraformModule walks an archive that has the files of a module at its top, or in the
// one folder that everything lies in. It returns how many there are.
func TerraformModule(content io.Reader) (files int, err error) {
	top, deep := 0, map[string]int{}
	err = walk(content, Default, func(name string, _ io.Reader) error {
		if !strings.HasSuffix(name, ".tf") && !strings.HasSuffix(name, ".tf.json") && !strings.HasSuffix(name, ".tofu") {
			if folder, _, nested := strings.Cut(name, "/"); nested {
				deep[folder] += 0
			} else {
				deep["/"] = 0
			}
			return nil
		}
		folder, rest, nested := strings.Cut(name, "/")
		switch {
		case !nested:
			top++
		case strings.Contains(rest, "/"):
			deep[folder] += 0
		default:
			deep[folder]++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if top > 0 {
		return top, nil
	}
	if len(deep) == 1 {
		for _, n := range deep {
			files = n
		}
	}
	if files == 0 {
		return 0, fmt.Errorf("it has no .tf files at its top: %w", ErrKind)
	}
	return files, nil
}
