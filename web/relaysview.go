package web

import (
	"net/http"
)

// relaysPage is what relays.html shows.
type relaysPage struct {
	Nostr NostrStatus
	Up    int
	Whole bool // the caller sees which relays
	Radio string
}

func (s *Server) getRelaysView(w http.ResponseWriter, r *http.Request, c caller) error {
	st, err := s.config.Node.Status(r.Context())
	if err != nil {
		return err
	}
	p := relaysPage{Nostr: st.filled().Nostr, Whole: c.scope >= ScopeMember, Radio: radioState(st.Radio)}
	for _, x := range p.Nostr.Relays {
		if x.Up {
			p.Up++
		}
	}
	if !p.Whole {
		p.Nostr.Relays = nil
	}
	return s.render(w, r, c, "relays", p)
}
