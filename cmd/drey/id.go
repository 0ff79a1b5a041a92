package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"
	"github.com/yggdrasil-network/yggdrasil-go/src/address"

	"drey/mesh"
)

// overlayAddress returns the Yggdrasil address that follows from a node's key.
func overlayAddress(k mesh.NodeKey) string {
	a := address.AddrForKey(k[:])
	if a == nil {
		return ""
	}
	return ipString(a[:])
}

func (s *session) idCommand() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "id",
		Short: "who this node is: public keys and address; works while it is off",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			seed, err := h.readSeed()
			if errors.Is(err, fs.ErrNotExist) {
				return failf(exitNotFound, "'drey up' makes one", "there is no node in %s", h)
			}
			if err != nil {
				return err
			}
			who, err := seed.Identity()
			if err != nil {
				return err
			}
			author, key := who.Author.PubKey(), who.NodeKey()
			if asJSON {
				return json.NewEncoder(s.out).Encode(map[string]any{
					"v": 1, "npub": author.NPub(), "pubkey": author.String(), "node_key": key.String(),
					"peer_id": peerID(key), "address": overlayAddress(key),
				})
			}
			fmt.Fprintf(s.out, "npub      %s\n", author.NPub())
			fmt.Fprintf(s.out, "pubkey    %s\n", author)
			fmt.Fprintf(s.out, "node key  %s\n", key)
			fmt.Fprintf(s.out, "peer id   %s\n", peerID(key))
			fmt.Fprintf(s.out, "address   %s\n", overlayAddress(key))
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
