package web

import (
	"context"

	"drey/mesh"
)

// Conversing is what the chat needs of the node beyond reading and writing.
type Conversing interface {
	// Cost tells what the radio would need for a post, as things are now; nil
	// where its topic does not go out by radio. Nothing is sent or kept.
	Cost(ctx context.Context, p Post) (*AirCost, error)
	// Report tells the community that a message is out of order (NIP-56) and
	// returns when that is on disk.
	Report(ctx context.Context, r Report) (*mesh.Record, error)
}

// An AirCost is what saying something costs on the air.
type AirCost struct {
	Packets   int    `json:"packets"`
	AirtimeMS int64  `json:"airtime_ms"`
	WaitMS    int64  `json:"wait_ms"`       // until the last packet may go; 0 when it may go now
	Why       string `json:"why,omitempty"` // it must wait
	TooLong   bool   `json:"too_long"`      // the air does not carry all of it
}

// A Report says what is wrong with a message.
type Report struct {
	About *mesh.Event
	Topic mesh.Topic // of the message; the report stays there
	Kind  string     // one of ReportKinds
	Words string     // up to 500 bytes; may be empty
}

// ReportKinds are the reasons of a report (NIP-56).
var ReportKinds = []string{"spam", "impersonation", "illegal", "profanity", "nudity", "malware", "other"}

// KindReport is NIP-56.
const KindReport mesh.Kind = 1984

// Draft returns the report as an event without a time. It is protected
// (NIP-70): what a community has to settle stays inside it.
func (r Report) Draft() mesh.Draft {
	return mesh.Draft{Kind: KindReport, Content: r.Words, Tags: [][]string{
		{"t", string(r.Topic)}, {"e", r.About.ID().String(), r.Kind}, {"p", r.About.Author().String(), r.Kind}, {"-"},
	}}
}
