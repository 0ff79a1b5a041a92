package lang

import (
	"strings"
	"sync"
	"time"
)

// A Phrase is something that a node has to say: the key of a text and the pairs
// of its arguments, as T takes them. A zero Phrase says nothing.
type Phrase struct {
	Key  string
	Args []any
}

// Say makes a phrase.
func Say(key string, args ...any) Phrase { return Phrase{key, args} }

// Say puts a phrase into the language. Commands and names of settings in it
// stand between back quotes: see Plain.
func (c *Catalogue) Say(p Phrase) string { return c.T(p.Key, p.Args...) }

// Span says how long something takes, roughly, with one unit.
func (c *Catalogue) Span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return c.T("time.seconds", "n", max(1, int(d.Round(time.Second).Seconds())))
	case d < 2*time.Hour:
		return c.T("time.minutes", "n", int(d.Round(time.Minute).Minutes()))
	case d < 48*time.Hour:
		return c.T("time.hours", "n", int(d.Round(time.Hour).Hours()))
	}
	return c.T("time.days", "n", int(d.Hours()/24))
}

// English is the base alone, for what speaks to programs and terminals. It is
// read once and never changes.
var English = sync.OnceValue(func() *Catalogue {
	b, err := files.ReadFile(Base + ".json")
	if err != nil {
		panic(err) // it is built in
	}
	c, err := Parse(Base, b)
	if err != nil {
		panic(err) // a test reads it
	}
	c.base, c.own = c, ownOf(c)
	return c
})

// Plain writes a text for a terminal: what stands between back quotes gets
// single ones, unless it is the whole text or has some itself.
func Plain(s string) string {
	parts := strings.Split(s, "`")
	if len(parts) == 3 && parts[0] == "" && parts[2] == "" {
		return parts[1]
	}
	for i := 1; i < len(parts); i += 2 {
		if !strings.Contains(parts[i], "'") {
			parts[i] = "'" + parts[i] + "'"
		}
	}
	return strings.Join(parts, "")
}
