package cluster

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

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
