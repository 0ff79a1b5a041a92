package web

import (
	"html/template"
	"regexp"
	"slices"
	"strings"

	"drey/web/lang"
)

// toldProblem is a problem or an error in the words of a language. Commands in
// it stand between back quotes: see rich.
type toldProblem struct {
	Code, What, Why, Fix string
	Foreign              bool   // What has no text: it is in English
	Original             string // what else only this node's own words have, in English
}

// tell translates an error. What the catalogues do not have is told by what its
// code means, with the original beside it.
func tell(words *lang.Catalogue, e *Error) toldProblem {
	if e.key != "" {
		return toldProblem{Code: e.Code, What: words.T("errors."+e.key, e.args...), Fix: textOr(words, "errors."+e.key+"-fix", "", e.args...)}
	}
	p := sayProblem(words, e.Problem)
	if !p.Foreign && p.Original == "" {
		return p
	}
	if key := "errors.code-" + e.Code; p.Foreign && knows(words, key) {
		p = toldProblem{Code: e.Code, What: words.T(key)}
	}
	p.Original = e.Error()
	if e.Fix != "" {
		p.Original += ". " + e.Fix
	}
	return p
}

// sayProblem puts a problem into words: by the texts that it names, else by
// recognising what it says.
func sayProblem(words *lang.Catalogue, p Problem) toldProblem {
	told := toldProblem{Code: p.Code}
	say := func(english, key string) (text string, known bool) {
		if p.Said.Key != "" && english != "" && knows(words, key) {
			return words.T(key, p.Said.Args...), true
		}
		if text, known = words.Recognise(english); !known && words.Tag == lang.Base {
			return quotedCommand.ReplaceAllString(text, "`$1`"), true
		}
		return text, known || english == ""
	}
	var known bool
	told.What, known = say(p.What, p.Said.Key)
	told.Foreign = !known
	var unknown []string
	for _, part := range []struct {
		english, key string
		into         *string
	}{{p.Why, "-why", &told.Why}, {p.Fix, "-fix", &told.Fix}} {
		if *part.into, known = say(part.english, p.Said.Key+part.key); !known {
			unknown, *part.into = append(unknown, part.english), ""
		}
	}
	told.Original = strings.Join(unknown, "\n")
	return told
}

// quotedCommand is a command in what the node says itself.
var quotedCommand = regexp.MustCompile(`'((?:drey|sudo|chmod|ulimit|ls|ss|ip|ufw) [^']{1,200})'`)

// knows reports whether T has a text for a key in some language.
func knows(words *lang.Catalogue, key string) bool { return words.T(key) != key }

// textOr returns the text of a key, or something else where there is none.
func textOr(words *lang.Catalogue, key, otherwise string, args ...any) string {
	if knows(words, key) {
		return words.T(key, args...)
	}
	return otherwise
}

// sayAll puts sentences that the node said in English into words.
func sayAll(words *lang.Catalogue, phrases []lang.Phrase, english []string) []string {
	if len(phrases) != len(english) {
		return english
	}
	all := make([]string, len(phrases))
	for i, p := range phrases {
		all[i] = words.Say(p)
	}
	return all
}

// unmarked takes away the signs that keep an argument apart from the sentence:
// in a command they would be copied along.
var unmarked = strings.NewReplacer("\u2068", "", "\u2069", "")

// rich writes a text with what stands between back quotes as code.
func rich(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 0 {
			b.WriteString(template.HTMLEscapeString(part))
			continue
		}
		b.WriteString(`<code dir="ltr">` + template.HTMLEscapeString(unmarked.Replace(part)) + `</code>`)
	}
	return template.HTML(b.String())
}

// commandsIn lists the commands in a text, each once. What has no words of its
// own, such as the name of a setting, is none.
func commandsIn(text string) []string {
	var found []string
	for i, part := range strings.Split(unmarked.Replace(text), "`") {
		if i%2 == 1 && quotedCommand.MatchString("'"+strings.ReplaceAll(part, "'", "")+"'") && !slices.Contains(found, part) {
			found = append(found, part)
		}
	}
	return found
}
