package web

import (
	"net/http"

	"drey/mesh"
)

// showPreview shows the conversation with what was typed and what it would
// cost, and sends nothing.
func (s *Server) showPreview(w http.ResponseWriter, r *http.Request, c caller, topic mesh.Topic, form composeForm) error {
	return s.showTopic(w, r, c, http.StatusOK, topic, form, nil)
}
