package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"drey/configs"
)

// errRewire ends a life of the parts so that another begins: the home belongs
// to another community, or the configuration has changed.
var errRewire = errors.New("the node's parts are made anew")

// reloads reads the configuration again on SIGHUP, until ctx ends. A file with
// faults changes nothing. Keys marked (live) in the examples apply without
// interrupting anything; any other change begins a new life of the node's
// parts, which takes about a second.
func (s *session) reloads(ctx context.Context, hup <-chan os.Signal, p *parts, f upFlags, level *slog.LevelVar) error {
	now := p.conf
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		case <-p.settings.changed:
		}
		if err := p.web.ReloadCertificate(); err != nil {
			p.log.Error("certificate not reloaded", "err", err)
		}
		next, err := s.loadConfig(p.home, f.config, f.apply)
		if err != nil {
			p.log.Error("configuration not reloaded", "err", err)
			continue
		}
		next.Web.Listen = keepPort(now.Web.Listen, next.Web.Listen)
		keys, live := configs.Changed(now, next)
		p.log.Info("configuration reloaded", "changed", strings.Join(keys, " "), "live", live)
		if err := s.setLevel(level, next); err != nil {
			p.log.Error("log level not changed", "err", err)
		}
		if !live {
			p.next = &next
			return errRewire
		}
		if err := p.applyPeers(now.Overlay, next.Overlay); err != nil {
			p.log.Error("peers not reloaded", "err", err)
			continue
		}
		now = next
	}
}

// keepPort returns the address to listen on after a reload: where any port
// will do, the one that was picked before.
func keepPort(had, wanted string) string {
	if _, port, err := net.SplitHostPort(wanted); err == nil && port == "0" {
		return had
	}
	return wanted
}

// applyPeers adds and removes static peers as a new configuration says.
func (p *parts) applyPeers(now, next configs.Overlay) error {
	want, err := next.PeerURIs()
	if err != nil {
		return err
	}
	have, err := now.PeerURIs()
	if err != nil {
		return err
	}
	var faults []error
	for _, uri := range want {
		if !slices.Contains(have, uri) {
			faults = append(faults, p.overlay.AddPeer(uri))
		}
	}
	for _, uri := range have {
		if !slices.Contains(want, uri) {
			faults = append(faults, p.overlay.RemovePeer(uri))
		}
	}
	return errors.Join(faults...)
}
