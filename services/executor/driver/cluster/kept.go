package cluster

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/blackdice/shipwarden/services/executor/artifact"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

const (
	// maxKept is the most that a text may measure as it is kept: a server takes 1 MiB.
	maxKept = 900 << 10
	// maxUnpacked is the most that it measures as it is.
	maxUnpacked = 2 * MaxManifests
	// keepReleases is how many texts are kept for the way back.
	keepReleases = 10
	// hexKept is how much of a digest is in the name of what is kept.
	hexKept = 16

	markDigest  = "shipwarden.github.io/digest"
	markVersion = "shipwarden.github.io/version"
	markSum     = "shipwarden.github.io/sum"
)

// Kept is a text in the namespace by which something can be placed again, whatever becomes of
// where it came from.
type Kept struct {
	// Digest is what was placed, Version the version of it.
	Digest, Version string
	// Part tells apart several of one digest; "" where there is one.
	Part string
	// Called is the name of the text, and What says what it is in a message.
	Called, What string
	// Text is it.
	Text []byte
}

func (n *Namespace) keptName(k Kept) (string, error) {
	hex, err := artifact.Hex(k.Digest)
	if err != nil {
		return "", fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	name := n.RecordName() + "-" + hex[:hexKept]
	if k.Part != "" {
		name += "-" + k.Part
	}
	return name, nil
}

// Keep keeps a text; one that is there already must be intact.
func (n *Namespace) Keep(ctx context.Context, c *Server, k Kept) error {
	name, err := n.keptName(k)
	if err != nil {
		return err
	}
	packed, err := pack(k.Text)
	if err != nil {
		return err
	}
	if len(packed) > maxKept || len(k.Text) > maxUnpacked {
		return fmt.Errorf("%s measure %d bytes packed, and at most %d can be kept for the way back: %w", k.What, len(packed), maxKept, driver.ErrUnsupported)
	}
	o := n.Own(name)
	o.SetAnnotations(map[string]string{
		markDigest: k.Digest, markVersion: k.Version, markSum: fmt.Sprintf("sha256:%x", sha256.Sum256(k.Text)),
	})
	if err := unstructured.SetNestedField(o.Object, base64.StdEncoding.EncodeToString(packed), "binaryData", k.Called); err != nil {
		return err
	}
	return Again(ctx, func() (bool, error) {
		maps, err := n.ConfigMaps(c)
		if err != nil {
			return false, err
		}
		_, err = maps.Create(ctx, o, metav1.CreateOptions{FieldManager: Manager})
		if apierrors.IsAlreadyExists(err) {
			_, err = n.Find(ctx, c, k)
		}
		return err == nil, err
	})
}

// Find is a text that was kept, with its version; all but these of k are asked for. Errors wrap
// driver.ErrNoWayBack where it is not there, or not as it was.
func (n *Namespace) Find(ctx context.Context, c *Server, k Kept) (Kept, error) {
	name, err := n.keptName(k)
	if err != nil {
		return k, err
	}
	err = Again(ctx, func() (bool, error) {
		maps, err := n.ConfigMaps(c)
		if err != nil {
			return false, err
		}
		found, err := maps.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, fmt.Errorf("%s are not in the namespace any more: %w", k.What, driver.ErrNoWayBack)
		}
		if err != nil {
			return false, err
		}
		if owner := found.GetLabels()[LabelTarget]; owner != "" && owner != n.Target {
			return false, fmt.Errorf("%s in ConfigMap %s were placed by target %s: %w", k.What, name, owner, driver.ErrNoWayBack)
		}
		k.Text, err = unkeep(found, k)
		k.Version = found.GetAnnotations()[markVersion]
		return err == nil, err
	})
	return k, err
}

func unkeep(o *unstructured.Unstructured, k Kept) ([]byte, error) {
	encoded, _, _ := unstructured.NestedString(o.Object, "binaryData", k.Called)
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		text, err = unpacked(text)
	}
	marks := o.GetAnnotations()
	if err != nil || marks[markDigest] != k.Digest || marks[markSum] != fmt.Sprintf("sha256:%x", sha256.Sum256(text)) {
		return nil, fmt.Errorf("%s in ConfigMap %s are not what was placed: %w", k.What, o.GetName(), driver.ErrNoWayBack)
	}
	return text, nil
}

func pack(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write(text)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

func unpacked(text []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, maxUnpacked))
	return out, errors.Join(err, r.Close())
}

// Forget deletes the oldest texts, and none of the digests that are named. That it cannot is no
// reason to fail: the next change tries again.
func (n *Namespace) Forget(ctx context.Context, c *Server, spared ...string) {
	maps, err := n.ConfigMaps(c)
	if err != nil {
		return
	}
	found, err := maps.List(ctx, metav1.ListOptions{LabelSelector: LabelTarget + "=" + n.Target + "," + LabelManaged + "=" + Manager})
	if err != nil {
		return
	}
	all := slices.DeleteFunc(found.Items, func(o unstructured.Unstructured) bool {
		digest := o.GetAnnotations()[markDigest]
		return digest == "" || slices.Contains(spared, digest)
	})
	slices.SortFunc(all, func(a, b unstructured.Unstructured) int {
		return cmp.Or(-a.GetCreationTimestamp().Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetName(), b.GetName()))
	})
	for _, old := range all[min(len(all), keepReleases):] {
		_ = maps.Delete(ctx, old.GetName(), metav1.DeleteOptions{})
	}
}
