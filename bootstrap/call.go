package bootstrap

import (
	"context"
	"time"

	"drey/mesh"
)

const (
	// callsOfContact bounds how many addresses of one contact are called at a
	// time; callStagger is how long one has to answer before the next is tried
	// beside it.
	callsOfContact = 4
	callStagger    = 250 * time.Millisecond
)

// call calls one contact at its addresses, one after the other and soon side
// by side, until one answers. Who is not on the roster must then show over the
// overlay that it belongs; else the link is given up.
func (m *Manager) call(ctx context.Context, j job) outcome {
	o := outcome{contact: j.contact}
	o.won, o.node, o.tried = m.callAny(ctx, j)
	listed := !m.c.Roster.Community().Open && m.c.Roster.Admits(o.node)
	if o.won == "" || j.vouched || listed || ctx.Err() != nil {
		return o
	}
	if err := m.c.Dialer.Meet(ctx, o.node); err != nil && ctx.Err() == nil {
		m.c.Log.Info("a node that was found does not belong", "finder", j.finder, "key", o.node.String(), "err", err)
		m.c.Dialer.Hangup(o.won)
		o.tried, o.won, o.foreign = append(o.tried, o.won), "", true
	}
	return o
}

// callAny returns the address that answered first, whose it is, and which
// addresses failed.
func (m *Manager) callAny(ctx context.Context, j job) (won string, node mesh.NodeKey, tried []string) {
	ctx, cancel := context.WithTimeout(ctx, callFor)
	defer cancel()
	type answer struct {
		uri string
		key mesh.NodeKey
		err error
	}
	answers := make(chan answer)
	under := 0
	next := func() {
		uri := j.uris[0]
		j.uris = j.uris[1:]
		under++
		go func() {
			key, err := m.c.Dialer.Call(ctx, uri, j.finder)
			m.c.Log.Debug("called", "finder", j.finder, "peer", bareURI(uri), "err", err)
			answers <- answer{bareURI(uri), key, err}
		}()
	}
	stagger := time.NewTicker(callStagger)
	defer stagger.Stop()
	for len(j.uris) > 0 || under > 0 {
		if under == 0 {
			next()
		}
		select {
		case <-stagger.C:
			if won == "" && len(j.uris) > 0 && under < callsOfContact {
				next()
			}
		case a := <-answers:
			under--
			switch {
			case a.err == nil && won == "":
				won, node, j.uris = a.uri, a.key, nil
				cancel() // the others need not go on
			case a.err == nil:
				m.c.Dialer.Hangup(a.uri) // it answered in the same moment
			case won == "":
				tried = append(tried, a.uri)
				if ctx.Err() != nil {
					j.uris = nil
				}
			}
		}
	}
	return won, node, tried
}

// bareURI cuts off a URI's query.
func bareURI(uri string) string {
	for i := range len(uri) {
		if uri[i] == '?' {
			return uri[:i]
		}
	}
	return uri
}
