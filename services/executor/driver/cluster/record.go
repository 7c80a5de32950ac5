package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/blackdice/shipwarden/services/executor/driver"
	"github.com/blackdice/shipwarden/services/executor/driver/fence"
)

// Marks of what we place.
const (
	LabelTarget  = "shipwarden.github.io/target"
	LabelManaged = "app.kubernetes.io/managed-by"
	// LabelFence says which call wrote an object last. It is a label, because an annotation of
	// a Deployment is one of its replica sets as well.
	LabelFence = "shipwarden.github.io/fence"
	// labelSealed is written to keep others from writing. It is another one, because nobody
	// applies it, so that it is no conflict.
	labelSealed = "shipwarden.github.io/sealed"
)

// Record is what a target remembers: the object that all who change the target compare and
// set.
type Record struct {
	fence.Record
	// Objects are all that may be there of ours.
	Objects []Ref `json:"objects,omitempty"`
	// Fresh are those of Objects that no complete change has placed. What of them is there
	// without the label of the target was made by somebody else.
	Fresh []Ref `json:"fresh,omitempty"`
	// Doubtful are those that were to be deleted and were not there: who slept on the way to
	// creating them may still do so. The next change looks for them again.
	Doubtful []Ref `json:"doubtful,omitempty"`

	// Placed is what the newest complete change of each digest was made of, for drivers that place
	// a digest in more ways than one.
	Placed map[string]Placed `json:"placed,omitempty"`

	// Runner is the one of several calls with the same key that is at work, RunnerKey their key, for
	// drivers whose calls must not be at work beside each other.
	Runner    string     `json:"runner,omitempty"`
	RunnerKey driver.Key `json:"runner_key,omitempty"`

	// Installation is the name of that which has changed the target; "" where it has none.
	Installation string `json:"installation,omitempty"`

	// Beat counts while somebody is at work.
	Beat uint64 `json:"beat,omitempty"`

	// version is that of the object as it was read; "" where there is none.
	version string
}

// Placed is how a digest was placed.
type Placed struct {
	// Part is that of what is kept of it.
	Part string `json:"part,omitempty"`
	// Revision is the number that somebody else's history gives it.
	Revision int `json:"revision,omitempty"`
	// Mark is one that the revision bears.
	Mark string `json:"mark,omitempty"`
	// Over says that the newest change before it of the same digest had another part.
	Over bool `json:"over,omitempty"`
	// Count grows with each change, so that the oldest is known.
	Count uint64 `json:"count,omitempty"`
}

// HasPlaced reports whether a complete change has placed an object: it is ours, whoever has taken
// its label.
func (r Record) HasPlaced(o Ref) bool { return Has(r.Objects, o) && !Has(r.Fresh, o) }

// Stamp is different for each change of the Record, and fits into a label.
func (r Record) Stamp() string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s %s %s", r.Fence, r.Key, r.version)))[:32]
}

// RecordName is the name of the ConfigMap that has the record.
func (n *Namespace) RecordName() string { return Manager + "-" + n.Target }

// ConfigMaps are where the record and what is kept are.
func (n *Namespace) ConfigMaps(c *Server) (dynamic.ResourceInterface, error) {
	return n.resource(c, "", "v1", "ConfigMap")
}

// Load reads the record; the zero record where there is none.
func (n *Namespace) Load(ctx context.Context, c *Server) (Record, error) {
	var r Record
	err := Again(ctx, func() (bool, error) {
		maps, err := n.ConfigMaps(c)
		if err != nil {
			return false, err
		}
		found, err := maps.Get(ctx, n.RecordName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			r = Record{}
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if owner := found.GetLabels()[LabelTarget]; owner != "" && owner != n.Target {
			return false, fmt.Errorf("%w: ConfigMap %s was placed by target %s, and is no record", driver.ErrConflict, found.GetName(), owner)
		}
		if r, err = decodeRecord(found); err == nil && r.Installation != "" && r.Installation != n.installation {
			err = fmt.Errorf("%w: the target is that of installation %q of Shipwarden, and this is %q", driver.ErrConflict, r.Installation, n.installation)
		}
		return true, err
	})
	return r, err
}

func decodeRecord(o *unstructured.Unstructured) (Record, error) {
	var r Record
	text, _, _ := unstructured.NestedString(o.Object, "data", "record")
	// A record that cannot be read must not be taken for none: that would let a stale
	// executor in.
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r, fmt.Errorf("read the record in ConfigMap %s: %w: %w", o.GetName(), driver.ErrInvalid, err)
	}
	r.version = o.GetResourceVersion()
	return r, nil
}

// Update replaces the record by what change makes of it, as long as nobody else has replaced
// it. Where that is what it is, after a lost answer for instance, nothing is written.
func (n *Namespace) Update(ctx context.Context, c *Server, change func(Record) (Record, error)) (Record, error) {
	var kept Record
	err := Again(ctx, func() (bool, error) {
		old, err := n.Load(ctx, c)
		if err != nil {
			return false, err
		}
		next, err := change(old)
		if err != nil {
			return false, final{err}
		}
		if old.version != "" && reflect.DeepEqual(old, next) {
			kept = old
			return true, nil
		}
		kept, err = n.replace(ctx, c, old, next)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			return false, nil
		}
		return err == nil, err
	})
	if f := (final{}); errors.As(err, &f) {
		err = f.error
	}
	return kept, err
}

// final is an error that no repetition changes.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

func (n *Namespace) replace(ctx context.Context, c *Server, old, next Record) (Record, error) {
	text, err := json.Marshal(next)
	if err != nil {
		return next, err
	}
	o := n.Own(n.RecordName())
	if err := unstructured.SetNestedField(o.Object, string(text), "data", "record"); err != nil {
		return next, err
	}
	maps, err := n.ConfigMaps(c)
	if err != nil {
		return next, err
	}
	var written *unstructured.Unstructured
	if old.version == "" {
		written, err = maps.Create(ctx, o, metav1.CreateOptions{FieldManager: Manager})
	} else {
		o.SetResourceVersion(old.version)
		written, err = maps.Update(ctx, o, metav1.UpdateOptions{FieldManager: Manager})
	}
	if err != nil {
		return next, err
	}
	next.version = written.GetResourceVersion()
	return next, nil
}

// Own is an empty ConfigMap of ours.
func (n *Namespace) Own(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{}
	o.SetAPIVersion("v1")
	o.SetKind("ConfigMap")
	o.SetName(name)
	o.SetNamespace(n.Name)
	o.SetLabels(map[string]string{LabelTarget: n.Target, LabelManaged: Manager})
	return o
}
