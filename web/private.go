package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"drey/mesh"
)

// privateViews are the page of private messages, whose work a script does: the
// keys and what they open stay in the browser.
func (s *Server) privateViews() []route {
	return []route{
		view("GET", "/private", ScopeGuest, s.getPrivate),
		view("GET", "/private/people", ScopeGuest, s.getPrivatePeople),
		view("GET", mailHref, ScopeAdmin, s.getMailView),
		view("POST", mailHref, ScopeAdmin, s.postMailView),
	}
}

func (s *Server) getPrivate(w http.ResponseWriter, r *http.Request, c caller) error {
	return s.render(w, r, c, "private", nil)
}

// Bounds of who is told about.
const (
	mostKeys  = 50  // of one question
	heardLast = 300 // messages whose authors are offered to write to
)

// A keyHolder is somebody to whom a private message can be sealed.
type keyHolder struct {
	Key     string `json:"key"` // 64 hexadecimal digits
	NPub    string `json:"npub"`
	Name    string `json:"name"`    // "" when it has none that can be shown
	Belongs bool   `json:"belongs"` // a member, a machine, or a guest with a pass
}

// getPrivatePeople tells whose the keys in key= are; without, who can be written
// to: for members everybody on the roster, for all whoever wrote lately where
// the caller can read.
func (s *Server) getPrivatePeople(w http.ResponseWriter, r *http.Request, c caller) error {
	var keys []mesh.PubKey
	members, err := s.members(r.Context())
	if err != nil {
		return err
	}
	asked := r.URL.Query().Get("key")
	if asked != "" {
		if keys, err = parseKeys(asked); err != nil {
			return usage(err)
		}
	} else if keys, err = s.correspondents(r.Context(), c, members); err != nil {
		return err
	}
	people := s.holders(r.Context(), keys, members)
	if asked == "" {
		people = offered(people)
	}
	return sendJSON(w, http.StatusOK, struct {
		V      int         `json:"v"`
		People []keyHolder `json:"people"`
	}{Version, people})
}

// offered are those who can be chosen by name, in order.
func offered(people []keyHolder) []keyHolder {
	people = slices.DeleteFunc(people, func(p keyHolder) bool { return p.Name == "" || !p.Belongs })
	slices.SortFunc(people, func(a, b keyHolder) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key)) })
	return people
}

// parseKeys reads up to mostKeys keys with commas between them, each once.
func parseKeys(s string) ([]mesh.PubKey, error) {
	parts := strings.SplitN(s, ",", mostKeys+1)
	if len(parts) > mostKeys {
		return nil, NewError(CodeUsage, "too many keys at once", "", "ask for at most 50", nil)
	}
	var keys []mesh.PubKey
	for _, p := range parts {
		k, err := mesh.ParsePubKey(p)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// correspondents lists whom the caller may know of.
func (s *Server) correspondents(ctx context.Context, c caller, members []Member) ([]mesh.PubKey, error) {
	keys := []mesh.PubKey{s.config.Author}
	v := s.viewer(c)
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindNote}, Order: mesh.ReceiptLatest, Limit: heardLast}
	if !v.Member {
		f.Topics = s.config.GuestTopics
	}
	for rec, err := range s.config.Node.Records(ctx, f, v) {
		if err != nil {
			return nil, err
		}
		if k := rec.Event.Author(); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if !v.Member {
		return keys, nil
	}
	for _, m := range members {
		if k, err := mesh.ParseAuthor(m.NPub); err == nil && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// holders names keys: as their own profiles do, else as the roster does.
func (s *Server) holders(ctx context.Context, keys []mesh.PubKey, members []Member) []keyHolder {
	names := s.names(ctx, keys)
	people := make([]keyHolder, len(keys))
	for i, k := range keys {
		p := keyHolder{Key: k.String(), NPub: k.NPub(), Name: names[k]}
		if j := slices.IndexFunc(members, func(m Member) bool { return m.NPub == p.NPub }); j >= 0 && p.Name == "" {
			p.Name = members[j].Shown()
		}
		if k == s.config.Author {
			p.Name, p.Belongs = cmp.Or(s.config.Name, p.Name), true
		}
		if s.config.Standing != nil {
			p.Belongs = p.Belongs || s.config.Standing(k) >= mesh.Guest
		}
		people[i] = p
	}
	return people
}
