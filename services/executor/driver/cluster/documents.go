package cluster

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	nodes "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	yamldocs "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// MaxManifests is the most that the manifests of an artifact may measure, in bytes.
	MaxManifests = 4 << 20
	// maxObjects is the most objects that they may be.
	maxObjects = 500
)

// early are the kinds that others need, and so are placed before them; the rest follows by
// kind and name.
var early = []string{
	"ResourceQuota", "LimitRange", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "Role", "RoleBinding",
	"ConfigMap", "PersistentVolumeClaim", "Service",
}

func place(r Ref) int {
	if i := slices.Index(early, r.Kind); i >= 0 {
		return i
	}
	return len(early)
}

// Rules say what documents may hold besides what every target takes.
type Rules struct {
	// Secrets lets them hold Secrets, Jobs Jobs.
	Secrets, Jobs bool
}

// Parse reads documents of YAML, of which JSON is one, and refuses what does not belong into the
// namespace. Errors wrap driver.ErrInvalid or driver.ErrUnsupported.
func (n *Namespace) Parse(files [][]byte, rules Rules) (Set, error) {
	var s Set
	size := 0
	for _, file := range files {
		if size += len(file); size > MaxManifests {
			return nil, fmt.Errorf("more than %d bytes of manifests: %w", MaxManifests, driver.ErrUnsupported)
		}
		for docs := yamldocs.NewYAMLReader(bufio.NewReader(bytes.NewReader(file))); ; {
			text, err := docs.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("read manifests: after manifest %d: a line that is too long, or more than --- between two of them: %w", len(s), driver.ErrInvalid)
			}
			if s, err = n.document(s, text, rules); err != nil {
				return nil, err
			}
		}
	}
	if len(s) == 0 {
		return nil, fmt.Errorf("holds no manifest: %w", driver.ErrInvalid)
	}
	if len(s) > maxObjects {
		return nil, fmt.Errorf("%d objects, and at most %d are placed: %w", len(s), maxObjects, driver.ErrUnsupported)
	}
	slices.SortStableFunc(s, func(a, b *unstructured.Unstructured) int {
		x, y := RefOf(a), RefOf(b)
		return cmp.Or(cmp.Compare(place(x), place(y)), cmp.Compare(x.Group, y.Group), cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.Name, y.Name))
	})
	for i := 1; i < len(s); i++ {
		if a, b := RefOf(s[i-1]), RefOf(s[i]); a.Same(b) {
			return nil, fmt.Errorf("%s is there twice: %w", a, driver.ErrInvalid)
		}
	}
	_, err := s.Encode()
	return s, err
}

// plain refuses what the document does not say as it stands there: values that stand for
// others, which may be more than fits anywhere, and what follows the end of the document, which
// nobody reads.
func plain(text []byte) error {
	docs := nodes.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var doc nodes.Node
		switch err := docs.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return unreadable(err)
		case n > 0:
			return fmt.Errorf("something follows the end (...): %w", driver.ErrInvalid)
		}
		if err := literal(&doc); err != nil {
			return err
		}
	}
}

// yamlLine is where an error of a reader of YAML says that it is, and twice that it is about a
// name that is there twice.
var (
	yamlLine = regexp.MustCompile(`line ([0-9]{1,9}): `)
	twice    = regexp.MustCompile(`(?m)line [0-9]+: (?:key ".*" already set in map|mapping key ".*" already defined at line [0-9]+)$`)
)

// unreadable says of an error of a reader of YAML where it is and of what kind, and nothing
// else: its words have what stands there, which may be a secret.
func unreadable(err error) error {
	text, where := err.Error(), ""
	if at := yamlLine.FindStringSubmatch(text); at != nil {
		where = "near line " + at[1] + ": "
	}
	what := "no YAML, or one that JSON cannot say"
	if twice.MatchString(text) {
		what = "a name is there twice"
	}
	return fmt.Errorf("%s%s: %w", where, what, driver.ErrInvalid)
}

func literal(node *nodes.Node) error {
	if node.Kind == nodes.AliasNode || node.Anchor != "" {
		return fmt.Errorf("line %d: anchors (&) and aliases (*) are not taken: write out what they stand for: %w", node.Line, driver.ErrUnsupported)
	}
	for _, child := range node.Content {
		if err := literal(child); err != nil {
			return err
		}
	}
	return nil
}

// document adds the objects of one document.
func (n *Namespace) document(s Set, text []byte, rules Rules) (Set, error) {
	if err := plain(text); err != nil {
		return nil, fmt.Errorf("read manifest %d: %w", len(s)+1, err)
	}
	converted, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fmt.Errorf("read manifest %d: %w", len(s)+1, unreadable(err))
	}
	if bytes.Equal(bytes.TrimSpace(converted), []byte("null")) {
		return s, nil // Nothing but comments.
	}
	o := &unstructured.Unstructured{}
	if err := o.UnmarshalJSON(converted); err != nil {
		// The error has all of the document.
		return nil, fmt.Errorf("read manifest %d: no object of Kubernetes: it has no kind, or items that are none: %w", len(s)+1, driver.ErrInvalid)
	}
	if !o.IsList() || !strings.HasSuffix(o.GetKind(), "List") {
		return append(s, o), n.admissible(o, rules)
	}
	err = o.EachListItem(func(item runtime.Object) error {
		one, ok := item.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("read manifest %d: %w", len(s)+1, driver.ErrInvalid)
		}
		s = append(s, one)
		return n.admissible(one, rules)
	})
	if err != nil && !errors.Is(err, driver.ErrInvalid) && !errors.Is(err, driver.ErrUnsupported) {
		err = fmt.Errorf("read manifest %d: an item of its list is no object: %w", len(s)+1, driver.ErrInvalid)
	}
	return s, err
}

// admissible refuses what does not belong into the target's namespace, or says what only a
// server may say, and completes the rest.
func (n *Namespace) admissible(o *unstructured.Unstructured, rules Rules) error {
	r := RefOf(o)
	problem := ""
	labels, _, malformed := unstructured.NestedStringMap(o.Object, "metadata", "labels")
	switch namespace := o.GetNamespace(); {
	case r.Kind == "" || r.Version == "":
		problem = "has no apiVersion or no kind"
	case r.Name == "":
		problem = "has no name"
	case namespace != "" && namespace != n.Name:
		return fmt.Errorf("%s lies in namespace %s, and the target is namespace %s: %w", r, namespace, n.Name, driver.ErrUnsupported)
	case !rules.Secrets && r.Group == "" && r.Kind == "Secret":
		return fmt.Errorf("%s: a secret belongs into no artifact: name one that is there: %w", r, driver.ErrUnsupported)
	case !rules.Jobs && r.Group == "batch" && r.Kind == "Job":
		return fmt.Errorf("%s: a Job is no state that can be placed: run it by another target, e.g. driver command: %w", r, driver.ErrUnsupported)
	case r.Group == "" && r.Kind == "ConfigMap" && (r.Name == n.RecordName() || strings.HasPrefix(r.Name, n.RecordName()+"-")):
		problem = "has a name that is kept for the record of the target"
	case o.GetResourceVersion() != "" || o.GetUID() != "" || o.GetManagedFields() != nil || len(o.GetOwnerReferences()) > 0:
		problem = "has metadata that only a server gives"
	case malformed != nil:
		problem = "has labels that are no texts"
	}
	if problem != "" {
		return fmt.Errorf("%s %s: %w", r, problem, driver.ErrInvalid)
	}
	o.SetNamespace(n.Name)
	unstructured.RemoveNestedField(o.Object, "metadata", "creationTimestamp")
	unstructured.RemoveNestedField(o.Object, "status")
	if labels == nil {
		labels = map[string]string{}
	}
	labels[LabelTarget] = n.Target
	o.SetLabels(labels)
	return nil
}

// Encode is the set as it is kept. It is refused where it could not be read again.
func (s Set) Encode() ([]byte, error) {
	objects := make([]map[string]any, len(s))
	for i, o := range s {
		objects[i] = o.Object
	}
	text, err := json.Marshal(objects)
	if len(text) > MaxManifests {
		return nil, fmt.Errorf("the manifests measure %d bytes as they are kept, and at most %d can be: %w", len(text), MaxManifests, driver.ErrUnsupported)
	}
	return text, err
}

// Decode reads what Encode has written.
func Decode(text []byte) (Set, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return nil, err
	}
	s := make(Set, len(raw))
	for i, one := range raw {
		s[i] = &unstructured.Unstructured{}
		if err := s[i].UnmarshalJSON(one); err != nil {
			return nil, err
		}
	}
	return s, nil
}
