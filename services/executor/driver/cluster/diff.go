package cluster

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/blackdice/shipwarden/internal/argv"
	"github.com/blackdice/shipwarden/services/executor/driver"
)

// Diff is the answer to what would change, from what Differences says of it.
func Diff(ctx context.Context, text string, err error) (driver.Diff, error) {
	switch {
	case ctx.Err() != nil:
		return driver.Diff{}, context.Cause(ctx)
	case err != nil:
		return driver.Diff{Asked: true, Failed: Told(err).Error()}, nil
	}
	said := argv.Cut([]byte(text))
	return driver.Diff{Asked: true, Text: string(said.Text), Last: said.LastLine(), LeftOut: said.Total > argv.MaxOutput}, nil
}

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

// leastLine is how long a line of a secret is, in bytes, by which all of it is known.
const leastLine = 8

// Forms are the texts by which secrets are known in what a template made of them: as they are, in
// quotes, in base64, also of a text that has them, and of several lines, which are indented, by the longest. The longest is first.
func Forms(secrets []string) (all []string) {
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		all = append(all, secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)))
		all = append(all, amid(secret)...)
		quoted := strconv.Quote(secret)
		all = append(all, quoted[1:len(quoted)-1])
		if text, err := json.Marshal(secret); err == nil {
			all = append(all, string(text[1:len(text)-1]))
		}
		longest := ""
		for line := range strings.Lines(secret) {
			if line = strings.TrimSpace(line); len(line) > len(longest) {
				longest = line
			}
		}
		if len(longest) >= leastLine {
			all = append(all, longest)
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// amid is how base64 of a longer text has a secret that stands in it, such as that of a name and a
// password: whichever of three places its first byte has there, and without the letters at both ends
// that its neighbors share.
func amid(secret string) (all []string) {
	for before := range 3 {
		first, end := (before*8+5)/6, (before+len(secret))*8/6
		if end-first < leastLine-1 {
			continue
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			all = append(all, encoding.EncodeToString([]byte("xx"[:before] + secret))[first:end])
		}
	}
	return all
}

// textOf is the text of a value, which is in JSON; of what is no text it is that.
func textOf(value string) string {
	var text string
	if json.Unmarshal([]byte(value), &text) != nil {
		return value
	}
	return text
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

// Shown is all of an object, as Differences has that which is to be created.
func (e Eyes) Shown(o *unstructured.Unstructured) string {
	r := RefOf(o)
	return differences(r.String(), nil, strip(o), e.hides(r), e.Veil)
}

// Differences has the server say what each object would be (a dry run), and says what differs from
// what is there: in a line each, of what looks like a secret that it changes, with the digest of all
// that is hidden in the line before the last. It changes nothing.
func (n *Namespace) Differences(ctx context.Context, objects Set, eyes Eyes) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, LookTime)
	defer cancel()
	c, err := n.Open()
	if err != nil {
		return "", err
	}
	r, err := n.Load(ctx, c)
	if err != nil {
		return "", err
	}
	trials, err := n.Try(ctx, c, objects)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	// A kubeconfig is replaced: an answer of one server must not stand for another.
	fmt.Fprintf(&out, "namespace %s of %s\n", n.Name, Address(c.Address))
	var created, changed, deleted int
	for _, t := range trials {
		differs := differences(t.Ref.String(), strip(t.Is), strip(t.Would), eyes.hides(t.Ref), eyes.Veil) + eyes.others(t.Is)
		switch {
		case t.Is == nil:
			if eyes.Stays == nil || !eyes.Stays(t.Would) {
				if err := n.mayDelete(ctx, c, t.Ref); err != nil {
					return "", fmt.Errorf("%s could not be deleted again: %w", t.Ref, err)
				}
			}
			created++
			fmt.Fprintf(&out, "create %s\n%s", t.Ref, differs)
		case differs != "":
			changed++
			fmt.Fprintf(&out, "change %s\n%s", t.Ref, differs)
		}
	}
	wanted := objects.Refs()
	for _, old := range Union(r.Objects, r.Doubtful) {
		if Has(wanted, old) {
			continue
		}
		deletes, err := n.tryDelete(ctx, c, old, eyes.Stays)
		if err != nil {
			return "", fmt.Errorf("%s cannot be deleted: %w", old, err)
		}
		if deletes {
			deleted++
			fmt.Fprintf(&out, "delete %s\n", old)
		}
	}
	out.WriteString(eyes.Veil.line())
	fmt.Fprintf(&out, "%d to create, %d to change, %d to delete, %d as they are\n", created, changed, deleted, len(trials)-created-changed)
	return out.String(), nil
}

// mayDelete has the server say whether the executor may delete an object that is not there
// yet: the way back would, and finds out too late.
func (n *Namespace) mayDelete(ctx context.Context, c *Server, r Ref) error {
	return Again(ctx, func() (bool, error) {
		objects, err := n.resource(c, r.Group, r.Version, r.Kind)
		if err != nil {
			return false, err
		}
		none := types.UID("none") // So that nothing is, whatever becomes of the dry run.
		err = objects.Delete(ctx, r.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &none}, DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			err = nil
		}
		return err == nil, err
	})
}

// TryDeletes has the server say whether it would delete what the record knows and the set does
// not have, but for what stays; stays is that of Change.
func (n *Namespace) TryDeletes(ctx context.Context, c *Server, r Record, objects Set, stays func(*unstructured.Unstructured) bool) error {
	wanted := objects.Refs()
	for _, old := range Union(r.Objects, r.Doubtful) {
		if Has(wanted, old) {
			continue
		}
		if _, err := n.tryDelete(ctx, c, old, stays); err != nil {
			return fmt.Errorf("%s cannot be deleted: %w", old, err)
		}
	}
	return nil
}

// tryDelete reports whether an object is there to be deleted, and has the server say whether
// it would.
func (n *Namespace) tryDelete(ctx context.Context, c *Server, r Ref, stays func(*unstructured.Unstructured) bool) (there bool, err error) {
	err = Again(ctx, func() (bool, error) {
		found, objects, err := n.former(ctx, c, r)
		there = found != nil && found.GetDeletionTimestamp() == nil && found.GetLabels()[LabelTarget] == n.Target &&
			(stays == nil || !stays(found))
		if err != nil || !there {
			return err == nil, err
		}
		uid, background := found.GetUID(), metav1.DeletePropagationBackground
		err = objects.Delete(ctx, r.Name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background, DryRun: []string{metav1.DryRunAll},
		})
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return false, nil // It is another one by now, or none.
		}
		return err == nil, err
	})
	return there, err
}

// strip is what of an object can be released: neither what its controllers say of it, nor
// what the server counts.
func strip(o *unstructured.Unstructured) map[string]any {
	if o == nil {
		return nil
	}
	content := o.DeepCopy().Object
	delete(content, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"} {
		unstructured.RemoveNestedField(content, "metadata", field)
	}
	for _, mark := range []string{LabelFence, labelSealed} {
		unstructured.RemoveNestedField(content, "metadata", "labels", mark)
	}
	return content
}

// differences has a line for each value that one of the two has and the other has not. One that
// looks like a secret on either side is hidden by the veil, as that of the object.
func differences(object string, is, would map[string]any, hidden func(path, text string) bool, veil *Veil) string {
	before, after := map[string]leaf{}, map[string]leaf{}
	leaves(before, "", false, is)
	leaves(after, "", false, would)
	all := maps.Clone(before)
	maps.Copy(all, after)
	var out strings.Builder
	for _, path := range slices.Sorted(maps.Keys(all)) {
		old, was := before[path]
		now, is := after[path]
		secret := old.secret || now.secret || hidden != nil && (hidden(path, old.text) || hidden(path, now.text))
		shown := func(side string, l leaf) string {
			text, all := l.shown(secret)
			if !all {
				veil.Hide(object, path, side, l.text)
			}
			return text
		}
		switch {
		case was && is && old.text == now.text:
		case was && is:
			fmt.Fprintf(&out, "  %s: %s -> %s\n", path, shown("is", old), shown("would", now))
		case was:
			fmt.Fprintf(&out, "  - %s: %s\n", path, shown("is", old))
		default:
			fmt.Fprintf(&out, "  + %s: %s\n", path, shown("would", now))
		}
	}
	return out.String()
}

var (
	// secretName is the name of something whose value nobody needs to see. What charts write as
	// checksum/config are digests of other objects, with the secrets in them.
	secretName = regexp.MustCompile(`(?i)secret|token|passw|passphrase|credential|private|(?:api|access|signing|encryption|auth)[_-]?key|^key$|^pwd$|^auth$|dsn|connection[_-]?string|last-applied-configuration|^checksum/`)
	// reference is the name of what says where a secret is, and not the secret.
	reference = regexp.MustCompile(`^(?:secretName|secretRef|secretKeyRef|imagePullSecrets|valueFrom|automountServiceAccountToken)$`)
)

// leaf is a value of a tree, in JSON.
type leaf struct {
	text   string
	secret bool
}

// shown is what people see of the value, and whether that is all of it. What stands for a secret
// begins in a way that the redaction of the whole text leaves alone.
func (l leaf) shown(secret bool) (text string, all bool) {
	if secret {
		return "a secret", false
	}
	if clean, n := argv.Redact([]byte(l.text)); n > 0 {
		return string(clean) + ", without its secret", false
	}
	return l.text, true
}

// leaves are the values of a tree by their paths.
func leaves(into map[string]leaf, path string, secret bool, value any) {
	switch v := value.(type) {
	case map[string]any:
		about := aboutSecret(path, v)
		for key, inner := range v {
			hide := !reference.MatchString(key) && (secret || secretName.MatchString(key) || about && !naming(key))
			leaves(into, strings.TrimPrefix(path+step(key), "."), hide, inner)
		}
		if len(v) > 0 || path == "" {
			return
		}
	case []any:
		for i, inner := range v {
			hide := secret
			if i > 0 {
				flag, _ := v[i-1].(string)
				hide = hide || strings.HasPrefix(flag, "-") && !strings.Contains(flag, "=") && secretName.MatchString(flag)
			}
			leaves(into, fmt.Sprintf("%s[%d]", path, i), hide, inner)
		}
		if len(v) > 0 {
			return
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		text = fmt.Append(nil, value)
	}
	into[path] = leaf{text: string(text), secret: secret}
}

// word is a name of a field that can be taken for nothing else in a path.
var word = regexp.MustCompile(`^[A-Za-z0-9_/-]+$`)

// step is the name of a field within a path. One that is more than a word is quoted: it could
// be taken for several fields, and hide what these have, or for a line of its own.
func step(key string) string {
	if word.MatchString(key) {
		return "." + key
	}
	return fmt.Sprintf("[%q]", key)
}

// naming reports whether a field says what the others beside it are about.
func naming(key string) bool {
	return slices.Contains([]string{"name", "key", "id"}, strings.ToLower(key))
}

// aboutSecret reports whether a map says that its values are about a secret, as a variable
// does: {name: DB_PASSWORD, value: ...}. The name of an object or of a container says nothing
// of the kind.
func aboutSecret(path string, m map[string]any) bool {
	if _, container := m["image"]; container || path == "metadata" || strings.HasSuffix(path, ".metadata") {
		return false
	}
	for key, value := range m {
		if text, ok := value.(string); ok && naming(key) && secretName.MatchString(text) {
			return true
		}
	}
	return false
}

// maxTold bounds what is said of an error, in bytes.
const maxTold = 600

// Told is an error as people and the record may read it: in short, without what looks like a
// secret, and without the values that the server has refused and quotes.
func Told(err error) error { return told{err} }

type told struct{ error }

func (t told) Unwrap() error { return t.error }

func (t told) Error() string {
	text := t.error.Error()
	if status := apierrors.APIStatus(nil); errors.As(t.error, &status) && status.Status().Reason == metav1.StatusReasonInvalid && status.Status().Details != nil {
		said := status.Status()
		var why []string
		for _, cause := range said.Details.Causes {
			// The value stands before the last colon.
			why = append(why, cause.Field+": "+strings.TrimSpace(cause.Message[strings.LastIndex(cause.Message, ": ")+1:]))
		}
		text = strings.ReplaceAll(text, said.Message, strings.Join(why, ", "))
	}
	clean, _ := argv.Redact([]byte(text))
	if len(clean) > maxTold {
		return strings.ToValidUTF8(string(clean[:maxTold]), "") + "…"
	}
	return string(clean)
}

// Address is the URL of a server without credentials.
func Address(server string) string {
	u, err := url.Parse(server)
	if err != nil {
		return "a server whose address cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Compare has a line for each value that one of two trees has and the other has not, or has
// otherwise, by its place. One that looks like a secret on either side is hidden by the veil, as that
// of the object.
func Compare(object string, is, would map[string]any, veil *Veil) string {
	return differences(object, is, would, nil, veil)
}
