package webtest

import (
	"context"
	"slices"

	"drey/mesh"
	"drey/web"
)

// Airs implements web.Airwaves: what is said in the topic "alerts" stays on the ground.
func (n *Node) Airs(r *mesh.Record) bool { return r.Topic != "alerts" }

// RadioNodes implements web.Airwaves.
func (n *Node) RadioNodes(context.Context) ([]web.RadioNode, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.town.Radios != nil {
		return slices.Clone(n.mu.town.Radios), n.mu.fail
	}
	return []web.RadioNode{{Node: "!0000beef", Name: "Maria", Hops: 1, KeyKnown: true}}, n.mu.fail
}

// RadioMessages implements web.Airwaves.
func (n *Node) RadioMessages(context.Context) ([]web.RadioMessage, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return []web.RadioMessage{{ID: "00000001", Node: "!0000beef", Name: "Maria", Text: "for you alone", At: 7}}, n.mu.fail
}

// SendRadioMessage implements web.Airwaves: Maria acknowledges at once.
func (n *Node) SendRadioMessage(_ context.Context, p web.RadioPost) (*web.RadioMessage, error) {
	if p.To != "Maria" {
		return nil, mesh.ErrNotFound
	}
	return &web.RadioMessage{ID: "00000002", Node: "!0000beef", Name: "Maria", Out: true, Text: p.Text, State: "acknowledged by Maria"}, nil
}

// TestRadio implements web.Airwaves.
func (n *Node) TestRadio(context.Context) (*web.RadioTest, error) {
	return &web.RadioTest{Sent: true, Heard: true, AfterMS: 1900}, nil
}

// SetUpRadio implements web.Airwaves.
func (n *Node) SetUpRadio(_ context.Context, w web.RadioWish) (*web.RadioPlan, error) {
	return &web.RadioPlan{Node: "!a1b2c3d4", Steps: []string{"region UNSET becomes " + w.Region}, Channel: 1, Done: w.Apply}, nil
}
