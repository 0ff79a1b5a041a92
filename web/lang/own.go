package lang

import (
	"regexp"
	"slices"
	"strings"
)

// Own is the group of texts that the node's parts say in English themselves:
// reasons in histories, faults of a radio, why nobody was joined. Base has them
// word by word, so that Recognise finds them.
const Own = "said"

// A pattern is a text of Own that has arguments.
type pattern struct {
	key  string
	re   *regexp.Regexp
	args []string // in the order of the groups of re
}

// own is what Base says in Own, to be found by what it says; immutable.
type own struct {
	whole    map[string]string // keys by text
	patterns []pattern         // the longest text first
}

func ownOf(base *Catalogue) *own {
	o := &own{whole: make(map[string]string)}
	length := make(map[string]int)
	for key, t := range base.texts {
		if !strings.HasPrefix(key, Own+".") {
			continue
		}
		s := Plain(t.plain)
		if !strings.Contains(s, "{") {
			o.whole[s] = key
			continue
		}
		p := pattern{key: key}
		var re strings.Builder
		for i, part := range strings.Split(s, "{") {
			if i > 0 {
				var name string
				name, part, _ = strings.Cut(part, "}")
				p.args = append(p.args, name)
				re.WriteString("(.+)")
			}
			re.WriteString(regexp.QuoteMeta(part))
		}
		p.re = regexp.MustCompile("^(?s:" + re.String() + ")$")
		length[key] = len(s)
		o.patterns = append(o.patterns, p)
	}
	slices.SortFunc(o.patterns, func(a, b pattern) int {
		if d := length[b.key] - length[a.key]; d != 0 {
			return d
		}
		return strings.Compare(a.key, b.key)
	})
	return o
}

// mostOwn bounds, in bytes, what Recognise looks at: it may come from a relay.
const mostOwn = 1000

// Recognise puts into the language what a part of the node said in English, and
// reports whether all of it but its arguments is known. Arguments that are such
// texts themselves are put into the language, too.
func (c *Catalogue) Recognise(english string) (string, bool) {
	return c.recognise(english, 3)
}

func (c *Catalogue) recognise(english string, depth int) (string, bool) {
	if key, ok := c.base.own.whole[english]; ok {
		return c.T(key), true
	}
	if depth == 0 || len(english) > mostOwn {
		return english, false
	}
	for _, p := range c.base.own.patterns {
		m := p.re.FindStringSubmatch(english)
		if m == nil {
			continue
		}
		var args []any
		for i, name := range p.args {
			if name != "why" {
				args = append(args, name, m[i+1])
				continue
			}
			why, ok := c.recognise(m[i+1], depth-1)
			if !ok {
				return english, false
			}
			args = append(args, name, said(why))
		}
		return c.T(p.key, args...), true
	}
	return english, false
}
