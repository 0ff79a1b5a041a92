package relay

import (
	"context"
	"net/netip"

	"drey/mesh"
)

// Admit asks whether e's author may write it here, as the relay does before it
// takes an EVENT, for events that come by another door of this machine: members
// may, a guest may what visitors may, and a key that is new gets a guest's pass,
// counted together with those that the relay gives. From is the address of
// whoever brought e. An error's text begins with a class of NIP-01:
// "restricted: ", "blocked: ", "rate-limited: "; or e is not valid.
func (f *Front) Admit(ctx context.Context, e *mesh.Event, from netip.Addr) error {
	s := f.node.Standing(e.Author())
	if s.Member() || e.Kind() == mesh.KindGiftWrap {
		return nil
	}
	return f.admit(ctx, e, s, addrOf(netip.AddrPortFrom(from, 0).String()), false)
}

// admit judges an event of somebody who is no member and stands as s says.
func (f *Front) admit(ctx context.Context, e *mesh.Event, s mesh.Standing, from netip.Addr, foreign bool) error {
	switch {
	case s == mesh.Banned:
		return denial("blocked: the community has banned this key")
	case s == mesh.Stranger && (!f.config.Welcome || foreign):
		return denial("restricted: only members write here")
	case len(e.AppendJSON(nil)) > f.limits.GuestBytes:
		return denial("restricted: the event is larger than guests may write")
	}
	if why := f.guestMay(ctx, e); why != "" {
		return denial(why)
	}
	if s == mesh.Guest {
		return nil
	}
	if err := e.Verify(); err != nil {
		return err
	}
	if !f.passes.allow(from, f.config.Clock()) {
		return denial("rate-limited: too many new guests; try again later, or ask a member to admit you")
	}
	if err := f.node.Welcome(ctx, e.Author()); err != nil {
		f.log.Warn("guest got no pass", "err", err)
		return denial("restricted: only members write here")
	}
	return nil
}
