package kubernetes

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
	"github.com/blackdice/shipwarden/services/executor/driver/cluster"
)

const (
	// maxKept is the most that a set may measure as it is kept: a server takes 1 MiB.
	maxKept = 900 << 10
	// hexKept is how much of a digest is in the name of what is kept.
	hexKept = 16

	markDigest  = "shipwarden.github.io/digest"
	markVersion = "shipwarden.github.io/version"
	markSum     = "shipwarden.github.io/sum"
	keyKept     = "manifests.json.gz"
)

func (d *Driver) keptName(digest string) (string, error) {
	hex, err := artifact.Hex(digest)
	if err != nil {
		return "", fmt.Errorf("%w: %w", driver.ErrInvalid, err)
	}
	return d.RecordName() + "-" + hex[:hexKept], nil
}

// keep keeps the set in the namespace, so that it can be placed again whatever becomes of
// where it came from.
func (d *Driver) keep(ctx context.Context, c *cluster.Server, digest, version string, s cluster.Set) error {
	name, err := d.keptName(digest)
	if err != nil {
		return err
	}
	text, err := encode(s)
	if err != nil {
		return err
	}
	packed, err := pack(text)
	if err != nil {
		return err
	}
	if len(packed) > maxKept {
		return fmt.Errorf("the manifests measure %d bytes packed, and at most %d can be kept for the way back: %w", len(packed), maxKept, driver.ErrUnsupported)
	}
	o := d.Own(name)
	o.SetAnnotations(map[string]string{
		markDigest: digest, markVersion: version, markSum: fmt.Sprintf("sha256:%x", sha256.Sum256(text)),
	})
	if err := unstructured.SetNestedField(o.Object, base64.StdEncoding.EncodeToString(packed), "binaryData", keyKept); err != nil {
		return err
	}
	return cluster.Again(ctx, func() (bool, error) {
		maps, err := d.ConfigMaps(c)
		if err != nil {
			return false, err
		}
		_, err = maps.Create(ctx, o, metav1.CreateOptions{FieldManager: cluster.Manager})
		if apierrors.IsAlreadyExists(err) {
			_, _, err = d.kept(ctx, c, digest)
		}
		return err == nil, err
	})
}

// kept is a set that was placed before, and its version. Errors wrap driver.ErrNoWayBack where
// it is not there, or not as it was.
func (d *Driver) kept(ctx context.Context, c *cluster.Server, digest string) (s cluster.Set, version string, err error) {
	name, err := d.keptName(digest)
	if err != nil {
		return nil, "", err
	}
	err = cluster.Again(ctx, func() (bool, error) {
		maps, err := d.ConfigMaps(c)
		if err != nil {
			return false, err
		}
		found, err := maps.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, fmt.Errorf("its manifests are not in the namespace any more: %w", driver.ErrNoWayBack)
		}
		if err != nil {
			return false, err
		}
		s, err = unkeep(found, digest)
		version = found.GetAnnotations()[markVersion]
		return err == nil, err
	})
	return s, version, err
}

func unkeep(o *unstructured.Unstructured, digest string) (cluster.Set, error) {
	encoded, _, _ := unstructured.NestedString(o.Object, "binaryData", keyKept)
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		text, err = unpacked(text)
	}
	marks := o.GetAnnotations()
	if err != nil || marks[markDigest] != digest || marks[markSum] != fmt.Sprintf("sha256:%x", sha256.Sum256(text)) {
		return nil, fmt.Errorf("its manifests in ConfigMap %s are not what was placed: %w", o.GetName(), driver.ErrNoWayBack)
	}
	s, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("its manifests in ConfigMap %s: %w: %w", o.GetName(), driver.ErrNoWayBack, err)
	}
	return s, nil
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
	out, err := io.ReadAll(io.LimitReader(r, 2*maxManifests))
	return out, errors.Join(err, r.Close())
}

// forget deletes the oldest sets, and none of those that are named. That it cannot is no
// reason to fail: the next change tries again.
func (d *Driver) forget(ctx context.Context, c *cluster.Server, spared ...string) {
	maps, err := d.ConfigMaps(c)
	if err != nil {
		return
	}
	found, err := maps.List(ctx, metav1.ListOptions{LabelSelector: cluster.LabelTarget + "=" + d.Target + "," + cluster.LabelManaged + "=" + cluster.Manager})
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
