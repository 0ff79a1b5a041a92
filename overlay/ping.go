package overlay

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"drey/mesh"
)

// pings matches echo replies to the questions that wait for them.
type pings struct {
	mu      sync.Mutex
	waiting map[uint32]pending // by ident and sequence
}

type pending struct {
	key    mesh.NodeKey
	answer chan time.Time // holds one
}

func (p *pings) ask(key mesh.NodeKey) (id uint32, answer chan time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[uint32]pending{}
	}
	for {
		id = rand.Uint32()
		if _, taken := p.waiting[id]; !taken {
			break
		}
	}
	answer = make(chan time.Time, 1)
	p.waiting[id] = pending{key, answer}
	return id, answer
}

func (p *pings) forget(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

func (p *pings) answered(from mesh.NodeKey, e echo) {
	id := uint32(e.ident)<<16 | uint32(e.seq)
	p.mu.Lock()
	w, ok := p.waiting[id]
	p.mu.Unlock()
	if !ok || w.key != from {
		return
	}
	select {
	case w.answer <- time.Now():
	default:
	}
}

// Ping sends one ICMPv6 echo to a member node and returns the time until its
// answer. It asks again every second until ctx ends: the first path takes a
// while. Strangers do not answer.
func (o *Overlay) Ping(ctx context.Context, key mesh.NodeKey) (time.Duration, error) {
	n, err := o.node(ctx)
	if err != nil {
		return 0, err
	}
	if key == o.self {
		return 0, nil
	}
	n.gate.expect(key)
	if err := n.reach(ctx, key); err != nil {
		return 0, fmt.Errorf("ping %s: no path: %w", AddressOf(key), err)
	}
	for {
		rtt, err := n.pingOnce(ctx, key, time.Second)
		if err == nil || ctx.Err() != nil {
			return rtt, err
		}
	}
}

// pingOnce waits at most patience for the answer to one echo.
func (n *node) pingOnce(ctx context.Context, key mesh.NodeKey, patience time.Duration) (time.Duration, error) {
	id, answer := n.nic.pings.ask(key)
	defer n.nic.pings.forget(id)
	var data [32]byte
	binary.BigEndian.PutUint32(data[:], id)
	packet := appendEcho(nil, header.ICMPv6EchoRequest, n.nic.self, AddressOf(key), uint16(id>>16), uint16(id), data[:])
	wait := time.NewTimer(patience)
	defer wait.Stop()
	began := time.Now()
	n.nic.send(key, packet)
	select {
	case at := <-answer:
		return at.Sub(began), nil
	case <-wait.C:
		return 0, fmt.Errorf("no answer from %s within %v", AddressOf(key), patience)
	case <-ctx.Done():
		return 0, fmt.Errorf("ping %s: %w", AddressOf(key), ctx.Err())
	}
}
