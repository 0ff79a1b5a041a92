package air

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"drey/mesh"
)

// A rebuilder turns a parsed frame into events. It tries what short names may
// stand for until the event's id begins as the frame says, and only then asks
// for the signature.
type rebuilder struct {
	codec  *Codec
	accept func(*mesh.Event) error // the costly question
	held   func(mesh.EventID) *mesh.Event
	frame  *packed
	work   Work
	done   []*mesh.Event // by index; nil where not rebuilt
	needs  []*Need
	base   *mesh.Unix // of a frame of notes, once an event tells
}

// errMoreChecks ends the search when MaxChecks is used up.
var errMoreChecks = errors.New("too many signatures to check")

// rebuild returns what could be rebuilt.
func (c *Codec) rebuild(p *packed, accept func(*mesh.Event) error, held func(mesh.EventID) *mesh.Event) *Result {
	r := &rebuilder{codec: c, accept: accept, held: held, frame: p}
	res := &Result{}
	for i, pe := range p.events {
		e, need := r.event(i, pe)
		r.done, r.needs = append(r.done, e), append(r.needs, need)
		if e == nil {
			res.Missing = append(res.Missing, *need)
			continue
		}
		res.Items = append(res.Items, Item{e, p.topicOf(pe)})
	}
	res.Work = r.work
	return res
}

// topicOf returns an event's topic, which the parser has checked.
func (p *packed) topicOf(e *packedEvent) mesh.Topic {
	if e.topic < topicNamed {
		return topics[e.topic]
	}
	return mesh.Topic(p.texts[e.named].text)
}

// A choice is one short name of an event and what it may stand for.
type choice struct {
	keys  []mesh.PubKey
	refs  []Reference
	dates []mesh.Unix
	now   int // what is being tried
}

func (c *choice) len() int { return len(c.keys) + len(c.refs) + len(c.dates) }

// An attempt is one event being rebuilt.
type attempt struct {
	*rebuilder
	*packedEvent
	index   int
	authors map[string]*choice // by how their keys begin
	targets map[Prefix]*choice
	choices []*choice // in the order in which they were met
	when    choice    // the frame's time, in a frame of notes
	need    Need
}

// event rebuilds one event, or tells what it needs.
func (r *rebuilder) event(i int, pe *packedEvent) (*mesh.Event, *Need) {
	a := &attempt{
		rebuilder: r, packedEvent: pe, index: i,
		authors: make(map[string]*choice), targets: make(map[Prefix]*choice),
		need: Need{Handle: Handle(pe.sig[:4])},
	}
	if a.gather(); a.lacks() {
		return nil, &a.need
	}
	for range MaxRebuilds {
		e, err := a.try()
		if e != nil {
			if a.frame.notes {
				r.base = &a.when.dates[a.when.now]
			}
			return e, nil
		}
		if err != nil || !a.advance() {
			break
		}
	}
	a.need.Resend, a.need.Short = true, a.frame.notes && a.base == nil
	return nil, &a.need
}

// gather asks the directory about every short name of the event.
func (a *attempt) gather() {
	switch {
	case a.frame.notes && a.base != nil:
		a.when.dates = []mesh.Unix{*a.base}
	case a.frame.notes:
		a.when.dates, a.choices = a.codec.dates(a.frame.short), append(a.choices, &a.when)
		a.need.Resend = len(a.when.dates) == 0
		a.need.Short = a.need.Resend
	}
	switch a.author {
	case authorHint:
		a.hint(a.key)
	case authorSame:
		a.earlier(a.index - 1)
	}
	for _, ref := range a.refs {
		switch ref.mode {
		case refPrefix:
			a.prefix(Prefix(ref.b))
		case refFrame:
			a.earlier(int(ref.b[0]))
		}
	}
	for _, k := range a.keys {
		if k.mode == keyHint {
			a.hint(k.b)
		}
	}
}

// hint looks for keys that begin so. Nobody is asked for a key by its first byte:
// too many have it.
func (a *attempt) hint(begin []byte) {
	if a.authors[string(begin)] != nil {
		return
	}
	c := &choice{keys: a.codec.authors(begin)}
	a.authors[string(begin)], a.choices = c, append(a.choices, c)
	switch {
	case len(begin) < len(Hint{}):
		a.need.Initials = append(a.need.Initials, begin[0])
		a.need.Resend = a.need.Resend || c.len() == 0
	case c.len() == 0 && !slices.Contains(a.need.Authors, Hint(begin)):
		a.need.Authors = append(a.need.Authors, Hint(begin))
	}
}

func (a *attempt) prefix(p Prefix) {
	if a.targets[p] != nil {
		return
	}
	c := &choice{refs: a.codec.travelled(p)}
	a.targets[p], a.choices = c, append(a.choices, c)
	if c.len() == 0 && !slices.Contains(a.need.Targets, p) {
		a.need.Targets = append(a.need.Targets, p)
	}
}

// earlier notes that an earlier event of the frame is needed: what it lacks
// this one lacks too.
func (a *attempt) earlier(i int) {
	n := a.needs[i]
	if n == nil {
		return
	}
	a.need.Resend = a.need.Resend || n.Resend
	for _, h := range n.Authors {
		if !slices.Contains(a.need.Authors, h) {
			a.need.Authors = append(a.need.Authors, h)
		}
	}
	for _, p := range n.Targets {
		if !slices.Contains(a.need.Targets, p) {
			a.need.Targets = append(a.need.Targets, p)
		}
	}
}

// lacks reports whether something is missing whatever is tried.
func (a *attempt) lacks() bool {
	return a.need.Resend || len(a.need.Authors) > 0 || len(a.need.Targets) > 0
}

// advance goes to the next combination, the last choice first.
func (a *attempt) advance() bool {
	for i := len(a.choices) - 1; i >= 0; i-- {
		c := a.choices[i]
		if c.now++; c.now < c.len() {
			return true
		}
		c.now = 0
	}
	return false
}

// try rebuilds the event from the present combination. It returns nil and no
// error when another may be better.
func (a *attempt) try() (*mesh.Event, error) {
	var author mesh.PubKey
	switch a.author {
	case authorHint:
		c := a.authors[string(a.key)]
		author = c.keys[c.now]
	case authorWhole:
		author = mesh.PubKey(a.key)
	default:
		author = a.done[a.index-1].Author()
	}
	d, ok := a.draft(author)
	if !ok {
		return nil, nil
	}
	a.work.Rebuilds++
	e, err := mesh.NewEvent(author, a.sig, d)
	if err != nil {
		return nil, err // its form is wrong whatever is chosen
	}
	if id := e.ID(); !bytes.HasPrefix(id[:], a.check) {
		return nil, nil
	}
	if a.held != nil {
		if held := a.held(e.ID()); held != nil && a.signed(held.Sig()) {
			return held, nil
		}
	}
	checks := 1
	if a.cut {
		checks = searchChecks
	}
	if a.work.Checks+checks > MaxChecks {
		return nil, errMoreChecks
	}
	a.work.Checks += checks
	if a.cut {
		sig, ok := theFinder().signature(author, e.ID(), a.sig)
		if !ok {
			return nil, nil
		}
		if e, err = mesh.NewEvent(author, sig, d); err != nil {
			return nil, err
		}
	}
	if a.accept(e) != nil {
		return nil, nil
	}
	return e, nil
}

// signed reports whether the frame may mean this signature.
func (e *packedEvent) signed(sig mesh.Signature) bool {
	if e.cut {
		return [64 - cutBytes]byte(sig[:]) == [64 - cutBytes]byte(e.sig[:])
	}
	return sig == e.sig
}

// draft writes the event out. It reports false where a key is said to be that
// of a reference whose author is not known.
func (a *attempt) draft(author mesh.PubKey) (mesh.Draft, bool) {
	refs := a.references()
	keys := make([]string, len(a.keys))
	for i, k := range a.keys {
		switch {
		case k.mode == keyWhole:
			keys[i] = mesh.PubKey(k.b).String()
		case k.mode == keyHint:
			c := a.authors[string(k.b)]
			keys[i] = c.keys[c.now].String()
		case k.mode == keyOwn:
			keys[i] = author.String()
		case k.mode == keyAgain:
			keys[i] = keys[i-1]
		default:
			r := refs[k.mode-keyRef]
			if !r.known {
				return mesh.Draft{}, false
			}
			keys[i] = r.author.String()
		}
	}
	write := func(p part) string {
		switch p.is {
		case partText:
			return a.frame.texts[p.n].text
		case partRef:
			return refs[p.n].id.String()
		case partKey:
			return keys[p.n]
		case partAddress:
			return strconv.FormatUint(p.kind, 10) + ":" + keys[p.n] + ":" + a.frame.texts[p.text].text
		}
		return p.s
	}
	created := a.created
	if a.frame.notes {
		at := int64(a.when.dates[a.when.now]) + a.after
		if created = mesh.Unix(at); int64(created) != at {
			return mesh.Draft{}, false
		}
	}
	d := mesh.Draft{CreatedAt: created, Kind: a.kind, Content: write(a.content)}
	if a.own {
		d.Tags = append(d.Tags, []string{"t", string(a.frame.topicOf(a.packedEvent))})
	}
	for _, t := range a.tags {
		values := make([]string, len(t))
		for i, p := range t {
			values[i] = write(p)
		}
		d.Tags = append(d.Tags, values)
	}
	return d, true
}

// references returns what the event's references stand for now.
func (a *attempt) references() []sentRef {
	refs := make([]sentRef, len(a.refs))
	for i, r := range a.refs {
		switch r.mode {
		case refWhole:
			refs[i].id = mesh.EventID(r.b)
		case refPrefix:
			c := a.targets[Prefix(r.b)]
			refs[i] = sentRef{c.refs[c.now].ID, c.refs[c.now].Author, true}
		case refFrame:
			e := a.done[r.b[0]]
			refs[i] = sentRef{e.ID(), e.Author(), true}
		case refAgain:
			refs[i] = refs[i-1]
		}
	}
	return refs
}

// authors returns the keys in the directory that begin so, MaxCandidates at most.
func (c *Codec) authors(begin []byte) []mesh.PubKey {
	if c.Directory == nil {
		return nil
	}
	list := c.Directory.Authors(begin)
	return list[:min(len(list), MaxCandidates)]
}

// travelled returns what the directory knows of a prefix.
func (c *Codec) travelled(p Prefix) []Reference {
	if c.Directory == nil {
		return nil
	}
	list := c.Directory.Travelled(p)
	return list[:min(len(list), MaxCandidates)]
}

// compare returns a question that only the wanted events pass.
func compare(want []Item) func(*mesh.Event) error {
	return func(e *mesh.Event) error {
		if slices.ContainsFunc(want, func(it Item) bool {
			return it.Event.ID() == e.ID() && it.Event.Sig() == e.Sig() && it.Event.Author() == e.Author()
		}) {
			return nil
		}
		return fmt.Errorf("%s is another event", e.ID())
	}
}
