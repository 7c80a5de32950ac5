package document

import (
	"regexp"
	"strings"

	releasev1 "github.com/blackdice/shipwarden/proto/shipwarden/release/v1"
)

// shown is how many hexadecimal digits of a digest stand in the text.
const shown = 12

var (
	whole = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	// telling is what machines put into their sentences: digests and addresses.
	telling = regexp.MustCompile(`sha256:[0-9a-f]{64}|https?://[A-Za-z0-9._/:+-]*[A-Za-z0-9/]`)
)

// full is a digest as the appendix has it.
type full struct {
	digest, what, media string
	size                int64
}

// digests are those that stand shortened in the document, in the order in which
// they came.
type digests struct {
	all []full
	of  map[string]int
	// short tells which digest a shortened one stands for: two that begin alike are
	// never shortened to the same.
	short map[string]string
}

// digest is a digest in the text: its beginning, which the appendix resolves. Only
// the first word for what it is is kept.
func (w *writer) digest(digest, what string) string {
	if !whole.MatchString(digest) {
		return code(digest)
	}
	if _, known := w.digests.of[digest]; !known {
		w.digests.of[digest] = len(w.digests.all)
		w.digests.all = append(w.digests.all, full{digest: digest, what: what, size: -1})
	}
	short := strings.TrimPrefix(digest, "sha256:")[:shown]
	if other, taken := w.digests.short[short]; taken && other != digest {
		return "`" + digest + "`"
	}
	w.digests.short[short] = digest
	return "`" + short + "`"
}

// evidence is the digest of stored evidence, with what the appendix says of it.
func (w *writer) evidence(ref *releasev1.EvidenceRef, what string) string {
	if ref.GetDigest() == "" {
		return none
	}
	out := w.digest(ref.GetDigest(), what)
	if i, ok := w.digests.of[ref.GetDigest()]; ok {
		w.digests.all[i].media, w.digests.all[i].size = ref.GetMediaType(), ref.GetSize()
	}
	return out
}

// said is text that a service wrote: digests in it are shortened, addresses are set
// in code type, where they are no links, and the rest is escaped.
func (w *writer) said(text, what string) string {
	text = strings.ReplaceAll(strings.Trim(text, " \t"), " -> ", " → ")
	var out strings.Builder
	from := 0
	for _, at := range telling.FindAllStringIndex(text, -1) {
		if before := text[from:at[0]]; from == 0 && before != "" {
			out.WriteString(strings.TrimRight(escape(before), " ") + gap(before))
		} else {
			out.WriteString(inline(before))
			if before == "" && from > 0 {
				out.WriteByte(' ') // Two spans of code next to one another would be one.
			}
		}
		if found := text[at[0]:at[1]]; strings.HasPrefix(found, "sha256:") {
			out.WriteString(w.digest(found, what))
		} else {
			out.WriteString(code(found))
		}
		from = at[1]
	}
	if from == 0 {
		return escape(text)
	}
	return out.String() + inline(text[from:])
}

// gap is the space that trimming took from the end of a text.
func gap(text string) string {
	if strings.HasSuffix(text, " ") || strings.HasSuffix(text, "\t") {
		return " "
	}
	return ""
}
