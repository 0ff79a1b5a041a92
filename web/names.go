package web

import (
	"context"
	"encoding/json"

	"drey/mesh"
)

// names tells what the authors of messages call themselves in their profiles
// (NIP-01, kind 0). Those without one that can be shown are left out.
func (s *Server) names(ctx context.Context, authors []mesh.PubKey) map[mesh.PubKey]string {
	names := make(map[mesh.PubKey]string, len(authors))
	if len(authors) == 0 {
		return names
	}
	f := mesh.Filter{Authors: authors, Kinds: []mesh.Kind{mesh.KindProfile}, Limit: len(authors)}
	for r, err := range s.config.Node.Records(ctx, f, mesh.Self) {
		if err != nil {
			s.log.Debug("names", "err", err)
			break
		}
		if name := profileName(r.Event); name != "" {
			names[r.Event.Author()] = name
		}
	}
	return names
}

// profileName returns the name in a profile, "" where there is none that can
// be shown beside a message.
func profileName(e *mesh.Event) string {
	var profile struct {
		Name        string `json:"name"`
		DisplayName string `json:"display_name"`
	}
	if err := json.Unmarshal([]byte(e.Content()), &profile); err != nil {
		return ""
	}
	for _, n := range []string{profile.DisplayName, profile.Name} {
		if n == "" {
			continue
		}
		if name, err := parseGuestName(n); err == nil {
			return name
		}
	}
	return ""
}

// shortKey shows enough of a key to tell authors apart.
func shortKey(k mesh.PubKey) string {
	n := k.NPub()
	return n[:9] + "…" + n[len(n)-4:]
}
