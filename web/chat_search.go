package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"drey/mesh"
)

// Bounds of a search.
const (
	pageFound   = 30
	mostScanned = 2000 // messages looked through for an author's name
)

// A searchPage is what the view "search" shows.
type searchPage struct {
	Query, Author string
	Topic         mesh.Topic
	Topics        []mesh.Topic
	Asked         bool
	Found         []messageItem
	Older         string
	TooLong       bool
	Cut           bool // it was not looked further back
}

// getSearch answers GET /search: messages by words, topic and author.
func (s *Server) getSearch(w http.ResponseWriter, r *http.Request, c caller) error {
	rd := s.reader(s.languageOf(r), c)
	v := r.URL.Query()
	p := searchPage{Query: strings.TrimSpace(v.Get("q")), Author: firstLetters(v.Get("author"), 100), Topics: rd.topics(r.Context())}
	if t, err := mesh.ParseTopic(v.Get("topic")); err == nil {
		if err := s.mayRead(c, []mesh.Topic{t}); err != nil {
			return err
		}
		p.Topic = t
	}
	if len(p.Query) > mesh.MaxSearch {
		p.Query, p.TooLong = firstLetters(p.Query, mesh.MaxSearch), true
	}
	if p.Asked = p.Query != "" || p.Author != "" || p.Topic != ""; p.Asked && !p.TooLong {
		before, _ := strconv.ParseUint(v.Get("before"), 10, 63)
		if err := rd.search(r.Context(), &p, before); err != nil {
			return err
		}
	}
	return s.render(w, r, c, "search", p)
}

func (rd *reader) search(ctx context.Context, p *searchPage, before uint64) error {
	f := mesh.Filter{Topics: p.Topics, Kinds: chatKinds, Search: p.Query, Order: mesh.ReceiptLatest, Before: before, Limit: pageFound + 1}
	if p.Topic != "" {
		f.Topics = []mesh.Topic{p.Topic}
	}
	if len(f.Topics) == 0 {
		return nil
	}
	byName := p.Author
	if key, err := mesh.ParseAuthor(p.Author); err == nil && p.Author != "" {
		f.Authors, byName = []mesh.PubKey{key}, ""
	}
	if byName != "" {
		f.Limit = 0
	}
	found, err := rd.find(ctx, f, byName, p)
	if err != nil {
		return err
	}
	if len(found) > pageFound {
		found = found[:pageFound]
		q := url.Values{"q": {p.Query}, "author": {p.Author}, "topic": {string(p.Topic)}, "before": {strconv.FormatUint(found[pageFound-1].Seq, 10)}}
		p.Older = "/search?" + q.Encode()
	}
	p.Found, err = rd.items(ctx, found)
	for i := range p.Found {
		p.Found[i].ShowTopic, p.Found[i].Clock = true, p.Found[i].Date
	}
	return err
}

// find reads what a filter chooses; with a name, only what somebody wrote whose
// name holds it, among the newest.
func (rd *reader) find(ctx context.Context, f mesh.Filter, name string, p *searchPage) ([]*mesh.Record, error) {
	if name == "" {
		return rd.collect(ctx, f)
	}
	var found []*mesh.Record
	known := make(map[mesh.PubKey]string)
	wanted := mesh.Fold(name)
	scanned := 0
	for rec, err := range rd.s.config.Node.Records(ctx, f, rd.viewer) {
		if err != nil {
			return nil, err
		}
		if scanned++; scanned > mostScanned {
			p.Cut = true
			break
		}
		author := rec.Event.Author()
		if _, ok := known[author]; !ok {
			known[author] = rd.s.names(ctx, []mesh.PubKey{author})[author]
		}
		if said, _ := rd.author(rec, known); !strings.Contains(mesh.Fold(said), wanted) {
			continue
		}
		if found = append(found, rec); len(found) > pageFound {
			break
		}
	}
	return slices.Clip(found), nil
}
