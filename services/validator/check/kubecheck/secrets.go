package kubecheck

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/blackdice/shipwarden/services/validator/kube"
)

// maxConfigMaps bounds how many ConfigMaps are read in one look.
const maxConfigMaps = 50

const secretWord = `(?:passwords?|passwd|pwd|passphrase|secrets?|tokens?|api[_-]?keys?|access[_-]?keys?|private[_-]?keys?|signing[_-]?keys?|credentials?)`

var (
	// secretName is a name that ends like one of a secret. One of which it is only a part, such as
	// TOKEN_URL or SECRET_NAME, says where a secret is or how it is used.
	secretName = regexp.MustCompile(`(?i)` + secretWord + `$`)
	// secretLine is a line of a file that gives such a name a value.
	secretLine = regexp.MustCompile(`(?im)^[ \t]*(?:export[ \t]+)?["']?[\w.-]*` + secretWord + `["']?[ \t]*[:=][ \t]*["']?([^\s"',#]+)`)
	// flagOf is a flag with its name, a sign and a value where these are in the same argument.
	flagOf = regexp.MustCompile(`(?s)^--?([A-Za-z0-9][\w.-]*)(?:(=)(.*))?$`)
	// reference is what stands where a secret is put in later, or where it is.
	reference = regexp.MustCompile(`^(?:\$[({].*|\{\{.*|<.*>|/.*|file:.*|vault:.*|true|false|null|none|~|[|>][+-]?)$`)
)

// secretForms are forms by which a secret is known whatever its name.
var secretForms = []struct {
	what string
	form *regexp.Regexp
}{
	{"a private key", regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)},
	{"a key of AWS", regexp.MustCompile(`\b(?:AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a token of GitHub", regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22,})`)},
	{"a token of GitLab", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{20}`)},
	{"a token of Slack", regexp.MustCompile(`\bxox[abeoprs]-[A-Za-z0-9-]{10,}`)},
	{"a key of Google", regexp.MustCompile(`\bAIza[0-9A-Za-z_-]{35}`)},
	{"a key of Stripe", regexp.MustCompile(`\b[sr]k_live_[0-9A-Za-z]{16,}`)},
	{"a JSON Web Token", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)},
	{"a password in a URL", regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s/:@$]*:[^\s/@${}]+@`)},
}

// secrets says where something looks like a secret: in variables and arguments of containers, and in
// the ConfigMaps that pods use. What it is stays where it is.
func (l look) secrets(ctx context.Context, pods []corev1.Pod) error {
	var t tally
	used := map[string]variables{}
	use := func(name string) variables {
		if used[name] == nil {
			used[name] = variables{}
		}
		return used[name]
	}
	for _, pod := range pods {
		for _, c := range containers(pod) {
			for _, v := range c.env {
				if what := looksSecret(v.Name, v.Value); what != "" {
					t.add(pod, v.Name, "is a variable of "+c.String()+" and looks like "+what)
				}
				if v.ValueFrom != nil && v.ValueFrom.ConfigMapKeyRef != nil {
					from := v.ValueFrom.ConfigMapKeyRef
					use(from.Name)[from.Key] = append(use(from.Name)[from.Key], v.Name)
				}
			}
			for _, f := range c.from {
				if f.ConfigMapRef != nil {
					use(f.ConfigMapRef.Name)
				}
			}
			for i, arg := range c.args {
				next := ""
				if i+1 < len(c.args) {
					next = c.args[i+1]
				}
				switch name, what := argument(arg, next); {
				case what == "":
				case name == "":
					t.add(pod, "args", "are of "+c.String()+" and hold what looks like "+what)
				default:
					t.add(pod, name, "is an argument of "+c.String()+" and looks like "+what)
				}
			}
		}
		for _, v := range pod.Spec.Volumes {
			if v.ConfigMap != nil {
				use(v.ConfigMap.Name)
			}
			if v.Projected != nil {
				for _, s := range v.Projected.Sources {
					if s.ConfigMap != nil {
						use(s.ConfigMap.Name)
					}
				}
			}
		}
	}
	t.say(l)
	if len(used) > maxConfigMaps {
		return fmt.Errorf("%d ConfigMaps: %w", len(used), kube.ErrMany)
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if err := l.configMap(ctx, name, used[name]); err != nil {
			return err
		}
	}
	return nil
}

// variables are the names that containers have for values of a ConfigMap, by their keys there.
type variables map[string][]string

// configMap says which keys of a ConfigMap look like secrets, or hold one, by their own names or by
// those of the variables that have them. One that is not there holds nothing.
func (l look) configMap(ctx context.Context, name string, as variables) error {
	m, err := kube.Get[corev1.ConfigMap](ctx, l.Look, corev1.SchemeGroupVersion.WithResource("configmaps"), l.Namespace, name)
	if errors.Is(err, kube.ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	all := maps.Clone(m.Data)
	if all == nil {
		all = map[string]string{}
	}
	for key, value := range m.BinaryData {
		all[key] = string(value)
	}
	l.values("ConfigMap/"+name, all, as)
	return nil
}

func (l look) values(object string, all map[string]string, as variables) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if what := looksSecret(key, all[key]); what != "" {
			l.say(object, key, "looks like "+what)
			continue
		}
		names := slices.Clone(as[key])
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if what := looksSecret(name, all[key]); what != "" {
				l.say(object, name, "is the variable that has "+key+" and looks like "+what)
			}
		}
	}
}

// looksSecret says what a value looks like by its name or its form; "" for nothing secret.
func looksSecret(name, value string) string {
	value = strings.TrimSpace(value)
	if what := formOf(value); what != "" {
		return what
	}
	if value == "" || reference.MatchString(value) {
		return ""
	}
	if secretName.MatchString(name) {
		return "a secret by its name"
	}
	for _, found := range secretLine.FindAllStringSubmatch(value, -1) {
		if !reference.MatchString(found[1]) {
			return "it has a line that gives a secret a value"
		}
	}
	return ""
}

// argument says what an argument looks like, and the name of the flag by which it does; "" where it
// does by itself. The value of a flag is behind a sign, or the next argument.
func argument(arg, next string) (name, what string) {
	if what := formOf(arg); what != "" {
		return "", what
	}
	if flag := flagOf.FindStringSubmatch(arg); flag != nil {
		value := strings.Trim(flag[3], `"'`)
		if flag[2] == "" && !strings.HasPrefix(next, "-") {
			value = next
		}
		if what := looksSecret(flag[1], value); what != "" && (flag[2] != "" || secretName.MatchString(flag[1])) {
			return flag[1], what
		}
		return "", ""
	}
	return "", looksSecret("", arg)
}

// formOf says what a value looks like by its form.
func formOf(value string) string {
	for _, f := range secretForms {
		if f.form.MatchString(value) {
			return f.what
		}
	}
	return ""
}
