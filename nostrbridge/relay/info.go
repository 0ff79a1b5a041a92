package relay

import (
	"encoding/json"
	"net/http"

	"drey/mesh"
)

// supported are the NIPs that the relay announces.
func supported() []int { return []int{1, 2, 9, 11, 17, 40, 42, 45, 50, 59, 65, 70, 77} }

// info is the document of NIP-11.
type info struct {
	Name        string     `json:"name"`
	Description string     `json:"description"`
	PubKey      string     `json:"pubkey"`
	NIPs        []int      `json:"supported_nips"`
	Software    string     `json:"software"`
	Version     string     `json:"version"`
	Limits      infoLimits `json:"limitation"`
}

type infoLimits struct {
	Message int  `json:"max_message_length"`
	Subs    int  `json:"max_subscriptions"`
	Filters int  `json:"max_filters"`
	Limit   int  `json:"max_limit"`
	Default int  `json:"default_limit"`
	SubID   int  `json:"max_subid_length"`
	Tags    int  `json:"max_event_tags"`
	Content int  `json:"max_content_length"`
	PoW     int  `json:"min_pow_difficulty"`
	Auth    bool `json:"auth_required"`
	Payment bool `json:"payment_required"`
	Writes  bool `json:"restricted_writes"`
}

func (f *Front) serveInfo(w http.ResponseWriter) {
	l := f.limits
	doc := info{
		Name:        f.config.Name,
		Description: "A community's machine, and a Nostr relay for the phones nearby.",
		PubKey:      f.config.Author.String(),
		NIPs:        supported(),
		Software:    "drey",
		Version:     f.config.Version,
		Limits: infoLimits{
			Message: l.Message, Subs: l.Subs, Filters: l.Filters, Limit: l.Stored, Default: l.Stored, SubID: maxSubID,
			Tags: mesh.MaxTags, Content: mesh.MaxEventSize, Writes: true,
		},
	}
	h := w.Header()
	h.Set("Content-Type", "application/nostr+json")
	h.Set("Access-Control-Allow-Origin", "*") // NIP-11; it tells nothing that the network cannot see
	h.Del("Cross-Origin-Resource-Policy")
	b, err := json.Marshal(doc)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(append(b, '\n'))
}
