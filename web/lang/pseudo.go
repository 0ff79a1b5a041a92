package lang

import "strings"

// PseudoTag names the pseudo-locale: Base with accents, longer and in
// brackets. What is cut off, runs over or is not in the catalogue shows.
const PseudoTag = "en-XA"

var accents = strings.NewReplacer(
	"a", "á", "c", "ç", "d", "ð", "e", "é", "g", "ĝ", "h", "ĥ", "i", "î", "j", "ĵ", "k", "ķ", "l", "ļ", "n", "ñ", "o", "ö", "r", "ŕ", "s", "š", "t", "ţ", "u", "û", "w", "ŵ", "y", "ý", "z", "ž",
	"A", "Å", "C", "Ç", "E", "É", "H", "Ĥ", "I", "Î", "L", "Ļ", "N", "Ñ", "O", "Ö", "R", "Ŕ", "S", "Š", "T", "Ţ", "U", "Û", "W", "Ŵ", "Y", "Ý",
)

func pseudo(base *Catalogue) *Catalogue {
	p := &Catalogue{Tag: PseudoTag, Name: "[Þšéûðö]", Dir: base.Dir, rule: base.rule, texts: make(map[string]text, len(base.texts)), base: base}
	for key, t := range base.texts {
		if t.forms == nil {
			p.texts[key] = text{plain: pseudoText(t.plain)}
			continue
		}
		forms := make(map[category]string, len(t.forms))
		for form, s := range t.forms {
			forms[form] = pseudoText(s)
		}
		p.texts[key] = text{forms: forms}
	}
	return p
}

// pseudoText accents everything but arguments and commands, and makes it about
// 40 % longer.
func pseudoText(s string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, part := range strings.Split(s, "`") {
		if i%2 == 1 {
			b.WriteString("`" + part + "`")
			continue
		}
		rest := part
		for {
			before, after, found := strings.Cut(rest, "{")
			b.WriteString(accents.Replace(before))
			if !found {
				break
			}
			name, next, _ := strings.Cut(after, "}")
			b.WriteString("{" + name + "}")
			rest = next
		}
	}
	for n := len(s) * 2 / 5; n > 0; n -= 4 {
		b.WriteString(" one")
	}
	b.WriteByte(']')
	return b.String()
}
