package inspect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/semver"
	"google.golang.org/protobuf/encoding/protowire"
)

// What a saved plan of Terraform and OpenTofu is made of: a zip with the plan as a
// protobuf message, and the state and configuration that it was made from.
const (
	planFile   = "tfplan"
	stateFile  = "tfstate"
	configPart = "tfconfig/"

	planFormat       = 3  // of the message, in its field 1
	fieldPlanFormat  = 1  // tfplan.Plan.version
	fieldPlanVersion = 14 // tfplan.Plan.terraform_version
)

// TerraformPlan reads a saved plan, and returns the version that made it.
func TerraformPlan(content io.Reader) (version string, err error) {
	parts := map[string]bool{}
	err = walk(content, Small, func(name string, file io.Reader) error {
		switch {
		case name == planFile:
			body, err := io.ReadAll(file)
			if err != nil {
				return err
			}
			if version, err = planVersion(body); err != nil {
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
		return "", err
	}
	for _, part := range []string{planFile, stateFile, configPart} {
		if !parts[part] {
			return "", fmt.Errorf("it holds no %s, so it is no saved plan: %w", part, ErrKind)
		}
	}
	return version, nil
}

// planVersion reads the fields of the message that say what it is.
func planVersion(body []byte) (string, error) {
	format, version := uint64(0), ""
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return "", fmt.Errorf("%s is no plan: %w", planFile, ErrKind)
		}
		body = body[n:]
		switch {
		case number == fieldPlanFormat && kind == protowire.VarintType:
			format, n = protowire.ConsumeVarint(body)
		case number == fieldPlanVersion && kind == protowire.BytesType:
			version, n = protowire.ConsumeString(body)
		default:
			n = protowire.ConsumeFieldValue(number, kind, body)
		}
		if n < 0 {
			return "", fmt.Errorf("%s is no plan: %w", planFile, ErrKind)
		}
		body = body[n:]
	}
	switch {
	case format != planFormat:
		return "", fmt.Errorf("%s has format %d, must be %d: %w", planFile, format, planFormat, ErrKind)
	case len(version) > 64 || !semver.IsValid("v"+version):
		return "", fmt.Errorf("%s was made by version %.80q: %w", planFile, version, ErrKind)
	}
	return version, nil
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
