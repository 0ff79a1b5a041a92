package main

import (
	"context"
	"errors"
	"slices"

	"drey/bootstrap"
	"drey/mesh"
	"drey/radio"
	"drey/web"
)

// Met lists the machines of the community that are connected.
func (a api) Met(context.Context) []string {
	keys := slices.Clone(a.book.Nodes())
	for _, l := range a.overlay.Links() { // all that an open community knows
		keys = append(keys, l.Key)
	}
	var met []string
	for _, key := range keys {
		if key != (mesh.NodeKey{}) && key != a.who.NodeKey() && a.overlay.Met(key) {
			met = append(met, key.String())
		}
	}
	slices.Sort(met)
	return slices.Compact(met)
}

// RadioDay tells what the radio measured.
func (a api) RadioDay(context.Context) (*web.RadioDay, error) {
	st := a.radio.Day()
	d := &web.RadioDay{V: web.Version, End: st.End.Unix(), SlotMS: radio.DaySlot.Milliseconds(), Slots: make([]web.RadioSlot, len(st.Slots))}
	for i, s := range st.Slots {
		one := web.RadioSlot{Use: s.Use, AirMS: s.Air.Milliseconds(), Heard: s.Heard}
		if s.Heard > 0 {
			one.SNR = s.SNR
		}
		d.Slots[i] = one
	}
	return d, nil
}

// Invites lists the invites for machines.
func (a api) Invites(ctx context.Context) ([]web.IssuedInvite, error) {
	list, err := a.inviter.Invites(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]web.IssuedInvite, len(list))
	for i, v := range list {
		all[i] = web.IssuedInvite{ID: v.ID, Made: v.Made.Unix(), Expires: v.Expires.Unix(), Uses: v.Uses, Used: v.Used, Ended: v.Burnt}
	}
	return all, nil
}

// WithdrawInvite ends an invite.
func (a api) WithdrawInvite(ctx context.Context, id string) error {
	err := a.inviter.Withdraw(ctx, id)
	if errors.Is(err, bootstrap.ErrUnknown) {
		return mesh.ErrNotFound
	}
	return err
}
