package web

import (
	"cmp"
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

// Shown is what somebody is called everywhere: as his own profile says, else as
// the roster does.
func (m Member) Shown() string { return cmp.Or(m.Called, m.Name) }

// members lists who belongs, belonged and asks to, with their own names.
func (s *Server) members(ctx context.Context) ([]Member, error) {
	members, err := s.config.Node.Members(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]mesh.PubKey, 0, len(members))
	for _, m := range members {
		if k, err := mesh.ParseAuthor(m.NPub); err == nil {
			keys = append(keys, k)
		}
	}
	names := s.names(ctx, keys)
	for i, m := range members {
		k, err := mesh.ParseAuthor(m.NPub)
		if name := names[k]; err == nil && name != m.Name && m.Standing != StandingWaiting {
			members[i].Called = name
		}
	}
	return members, nil
}

// Distinct returns what each member is called, by npub. Where somebody else is
// called the same, or nearly so, or was admitted so, the beginning of the key
// stands beside it.
func Distinct(members []Member) map[string]string {
	alike := make(map[string]int)
	for _, m := range members {
		shown, admitted := mesh.Fold(m.Shown()), mesh.Fold(m.Name)
		if alike[shown]++; admitted != shown {
			alike[admitted]++
		}
	}
	names := make(map[string]string, len(members))
	for _, m := range members {
		names[m.NPub] = m.Shown()
		if alike[mesh.Fold(m.Shown())] > 1 {
			names[m.NPub] = withKey(m.Shown(), m.NPub)
		}
	}
	return names
}

// withKey puts the beginning of a key beside a name.
func withKey(name, npub string) string {
	if len(npub) <= 11 {
		return name
	}
	return name + " (" + npub[5:11] + "…)"
}

// shortKey shows enough of a key to tell authors apart.
func shortKey(k mesh.PubKey) string {
	n := k.NPub()
	return n[:9] + "…" + n[len(n)-4:]
}
