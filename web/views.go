package web

import "context"

// Views is what the operator's pages show beyond what the API tells.
type Views interface {
	// Met lists the machines of the community that are connected now, by their
	// keys of 64 hexadecimal digits, sorted.
	Met(ctx context.Context) []string
	// RadioDay tells what the radio measured in the last 24 hours; without a
	// radio all of it is empty.
	RadioDay(ctx context.Context) (*RadioDay, error)
	// Invites lists the invites for machines that are remembered, the newest
	// first.
	Invites(ctx context.Context) ([]IssuedInvite, error)
	// WithdrawInvite ends an invite before its time; mesh.ErrNotFound where there
	// is none. Who has redeemed it stays.
	WithdrawInvite(ctx context.Context, id string) error
}

// A RadioDay is what a radio measured in the last 24 hours.
type RadioDay struct {
	V      int         `json:"v"`
	End    int64       `json:"end"`     // unix seconds, of the newest slot
	SlotMS int64       `json:"slot_ms"` // of each slot
	Slots  []RadioSlot `json:"slots"`   // the oldest first
}

// A RadioSlot is one stretch of a RadioDay.
type RadioSlot struct {
	Use   float64 `json:"use"`    // of the channel by everybody, 0 to 1; -1 when not measured
	AirMS int64   `json:"air_ms"` // this gateway was on the air
	Heard int     `json:"heard"`  // packets of others
	SNR   float64 `json:"snr"`    // dB, the mean over Heard; 0 where Heard is 0
}

// An IssuedInvite is an invite for machines as its maker sees it later: the
// token is not kept.
type IssuedInvite struct {
	ID      string `json:"id"`      // 32 hexadecimal digits
	Made    int64  `json:"made"`    // unix seconds
	Expires int64  `json:"expires"` // unix seconds
	Uses    int    `json:"uses"`    // machines it was made for
	Used    int    `json:"used"`    // machines that have redeemed it
	Ended   bool   `json:"ended"`   // withdrawn, or opened by a browser
}
