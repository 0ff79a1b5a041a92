package main

import (
	"context"

	"github.com/libp2p/go-libp2p/core/host"

	"drey/bootstrap"
	"drey/mesh"
)

// farFinderMakers says how the finders that reach beyond the local network are
// made.
func (p *parts) farFinderMakers() map[string]func() bootstrap.Finder {
	b := p.conf.Bootstrap
	log := p.log.With("part", "finders")
	return map[string]func() bootstrap.Finder{
		bootstrap.FinderKademlia: func() bootstrap.Finder {
			return bootstrap.NewKademlia(bootstrap.KademliaConfig{
				Self:   p.who.NodeKey(),
				Host:   func(ctx context.Context) (host.Host, error) { return p.overlay.Host(ctx) },
				Roster: p.book,
				Log:    log,
				Clock:  p.clock,
			})
		},
		bootstrap.FinderMainline: func() bootstrap.Finder {
			return bootstrap.NewMainline(bootstrap.MainlineConfig{
				Self:    p.who.NodeKey(),
				Secrets: p.secrets,
				Nodes:   b.TableNodes(),
				Log:     log,
				Clock:   p.clock,
			})
		},
		bootstrap.FinderNostr: func() bootstrap.Finder { return bootstrap.NewNostr(p.nostrConfig()) },
		bootstrap.FinderLoRa:  func() bootstrap.Finder { return bootstrap.NewLoRa(p.radio) },
	}
}

// nostrConfig is what the finder "nostr" works with.
func (p *parts) nostrConfig() bootstrap.NostrConfig {
	log := p.log.With("part", "finders")
	return bootstrap.NostrConfig{
		Board:    newBoard(p.pool, p.conf.AnnounceURLs()),
		Identity: p.who,
		Secrets:  p.secrets,
		Public:   p.conf.Bootstrap.PublicNostr,
		Authors:  p.machines,
		Log:      log,
		Clock:    p.clock,
	}
}

// machines lists the keys that sign for the community's other machines.
func (p *parts) machines() []mesh.PubKey {
	var all []mesh.PubKey
	for _, m := range p.book.Members() {
		if m.Record != nil && m.Standing.Member() && m.Author != p.who.Author.PubKey() {
			all = append(all, m.Author)
		}
	}
	return all
}
