package main

import (
	"context"
	"encoding/json"
	"strings"

	"drey/mesh"
	"drey/web"
)

// names knows what people call authors. Not safe for concurrent use.
type names struct {
	of map[mesh.PubKey]string
}

// maxShownName is how many letters of a name are shown.
const maxShownName = 24

// learnNames asks the node for the names on the roster and in profiles. What
// cannot be had is left out: a message without a name is still a message.
func learnNames(ctx context.Context, c *web.Client) *names {
	n := &names{of: map[mesh.PubKey]string{}}
	n.refresh(ctx, c)
	return n
}

// refresh learns again what the node knows.
func (n *names) refresh(ctx context.Context, c *web.Client) {
	members, err := c.Members(ctx)
	if err == nil {
		for _, m := range members {
			if key, err := mesh.ParseAuthor(m.NPub); err == nil && m.Name != "" {
				n.of[key] = m.Name
			}
		}
	}
	f := web.Following{Topics: []mesh.Topic{mesh.TopicPeople}, Kinds: []mesh.Kind{mesh.KindProfile}, Since: "all"}
	for r, err := range c.Messages(ctx, f) {
		if err != nil {
			return
		}
		n.learn(r)
	}
}

// learn takes the name from a profile.
func (n *names) learn(r *mesh.Record) {
	if r.Event.Kind() != mesh.KindProfile {
		return
	}
	if name := profileName(r.Event); name != "" {
		n.of[r.Event.Author()] = name
	}
}

// profileName reads the name in a profile (NIP-01, NIP-24).
func profileName(e *mesh.Event) string {
	var p struct {
		Name    string `json:"name"`
		Display string `json:"display_name"`
	}
	if json.Unmarshal([]byte(e.Content()), &p) != nil {
		return ""
	}
	if p.Display != "" {
		return strings.TrimSpace(p.Display)
	}
	return strings.TrimSpace(p.Name)
}

// known reports whether an author has a name.
func (n *names) known(k mesh.PubKey) bool { return n.of[k] != "" }

// author tells who speaks in an event. A name that nobody vouched for is
// marked: a guest's by "?", what came from a plain radio by "radio".
func (n *names) author(e *mesh.Event) string {
	name := n.of[e.Author()]
	if name == "" {
		name = e.Author().NPub()[:12]
	}
	name = clip(plain(name, false))
	switch guest, isGuest := mesh.GuestName(e); {
	case isGuest:
		return clip(plain(guest, false)) + "? at " + name
	case mesh.Labelled(e, mesh.LabelUnsignedRadio):
		return "radio at " + name
	}
	return name
}

func clip(s string) string {
	if letters := []rune(s); len(letters) > maxShownName {
		return string(letters[:maxShownName-1]) + "…"
	}
	return s
}
