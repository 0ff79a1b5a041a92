package webtest

import (
	"context"

	"drey/web"
)

// PeerRecords returns one record of nobody.
func (n *Node) PeerRecords(context.Context, bool, bool) ([]string, error) {
	return []string{"drey1:AQ"}, nil
}

// ImportPeers refuses every record.
func (n *Node) ImportPeers(_ context.Context, records []string) (*web.PeersImported, error) {
	return &web.PeersImported{Refused: map[string]int{"malformed": len(records)}}, nil
}
