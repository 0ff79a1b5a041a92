package lang

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxAccept is how many wishes of an Accept-Language header are read.
const maxAccept = 20

// Match returns the language that suits an Accept-Language header best (RFC
// 9110, section 12.5.4); Base where none does. Of a regional tag, the language
// counts: "uk-UA" is "uk".
func (s *Set) Match(accept string) *Catalogue {
	type wish struct {
		tag     string
		quality float64
	}
	var wishes []wish
	for part := range strings.SplitSeq(accept, ",") {
		if len(wishes) == maxAccept {
			break
		}
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		w := wish{strings.ToLower(strings.TrimSpace(tag)), 1}
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			f, err := strconv.ParseFloat(q, 64)
			if err != nil || !(f > 0 && f <= 1) {
				continue
			}
			w.quality = f
		}
		wishes = append(wishes, w)
	}
	slices.SortStableFunc(wishes, func(a, b wish) int { return cmp.Compare(b.quality, a.quality) })
	for _, w := range wishes {
		for tag := w.tag; tag != ""; tag = parentTag(tag) {
			for _, known := range s.tags {
				if strings.EqualFold(known, tag) {
					return s.byTag[known]
				}
			}
		}
	}
	return s.byTag[Base]
}

// parentTag drops the last part of a tag.
func parentTag(tag string) string {
	i := strings.LastIndexByte(tag, '-')
	if i < 0 {
		return ""
	}
	return tag[:i]
}
