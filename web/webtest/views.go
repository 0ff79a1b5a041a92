package webtest

import (
	"context"
	"slices"
	"time"

	"drey/mesh"
	"drey/web"
)

// Met implements web.Views: see SetTown.
func (n *Node) Met(context.Context) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mu.town.Met)
}

// RadioDay implements web.Views: a day with an hour of everything at its end.
func (n *Node) RadioDay(context.Context) (*web.RadioDay, error) {
	d := &web.RadioDay{V: 1, End: n.now().Unix(), SlotMS: (5 * time.Minute).Milliseconds()}
	for i := range 288 {
		s := web.RadioSlot{Use: -1}
		if i >= 276 {
			s = web.RadioSlot{Use: 0.12, AirMS: 3000, Heard: 2, SNR: 4.5}
		}
		d.Slots = append(d.Slots, s)
	}
	return d, nil
}

// Invites implements web.Views.
func (n *Node) Invites(context.Context) ([]web.IssuedInvite, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mu.town.Invites), n.mu.fail
}

// WithdrawInvite implements web.Views.
func (n *Node) WithdrawInvite(_ context.Context, id string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.mu.town.Invites {
		if n.mu.town.Invites[i].ID == id {
			n.mu.town.Invites[i].Ended = true
			return nil
		}
	}
	return mesh.ErrNotFound
}

// A Town is what a Node says of others. What is nil keeps its usual answer.
type Town struct {
	Members []web.Member
	Met     []string
	Links   []web.PeerStatus // of the status
	Radios  []web.RadioNode
	Relays  []web.RelayStatus
	Radio   *web.RadioStatus
	Checks  []web.Check
	Invites []web.IssuedInvite
}

// SetTown changes what the node says of others.
func (n *Node) SetTown(t Town) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.town = t
}

// Changes lists what ChangeMembers was asked for.
func (n *Node) Changes() []web.MemberChange {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mu.changes)
}

// Joins lists what Join was asked for, previews included.
func (n *Node) Joins() []web.JoinRequest {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.mu.joins)
}
