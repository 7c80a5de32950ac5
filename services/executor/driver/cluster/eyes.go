package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Eyes are those of whoever reads a difference.
type Eyes struct {
	// Veil takes what they do not see.
	Veil *Veil
	// Secrets are values that nobody sees, however a template wrote them.
	Secrets []string
	// Stays is that of Change.
	Stays func(*unstructured.Unstructured) bool
	// Others has the other writers of an object named that own something of what it is to be.
	Others bool
}

// secretData is where a Secret has its values; a name that is more than a word is quoted there.
var secretData = regexp.MustCompile(`^(?:data|stringData)[.\[]`)

// hides says which values of an object nobody sees.
func (e Eyes) hides(r Ref) func(path, text string) bool {
	forms := Forms(e.Secrets)
	return func(path, text string) bool {
		if r.Group == "" && r.Kind == "Secret" && secretData.MatchString(path) {
			return true
		}
		return slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(text, form) || strings.Contains(textOf(text), form) })
	}
}

// others names who else has written what an object is to be, other than its controllers: what they
// have added stays, and no dry run tells of it.
func (e Eyes) others(o *unstructured.Unstructured) string {
	if !e.Others || o == nil {
		return ""
	}
	var out strings.Builder
	for _, owner := range o.GetManagedFields() {
		if owner.Manager == Manager || owner.Manager == autoscaler || owner.Manager == "kube-scheduler" || owner.Subresource != "" || owner.FieldsV1 == nil {
			continue
		}
		var fields map[string]any
		if json.Unmarshal([]byte(owner.FieldsV1.GetRawString()), &fields) != nil {
			continue
		}
		for _, of := range []string{"data", "spec"} {
			if below, ok := fields["f:"+of].(map[string]any); ok {
				for _, path := range owned("."+of, below) {
					fmt.Fprintf(&out, "  written by %s as well: %s\n", owner.Manager, path)
				}
			}
		}
	}
	return out.String()
}

// owned are the paths of the fields of a manager.
func owned(path string, fields map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		below, _ := fields[name].(map[string]any)
		if name == "." {
			continue
		}
		at := path + "[" + oneLine(name) + "]"
		if field, ok := strings.CutPrefix(name, "f:"); ok {
			at = path + step(field)
		}
		if inner := owned(at, below); len(inner) > 0 {
			out = append(out, inner...)
		} else {
			out = append(out, at)
		}
	}
	return out
}
