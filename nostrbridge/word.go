package nostrbridge

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"drey/mesh"
	"drey/nostrbridge/pool"
)

// Bounds of a word.
const (
	maxTopics   = 512 // that leave
	maxTold     = 128 // events in one word
	maxReason   = 160 // bytes of a refusal
	maxReady    = 1<<31 - 1
	shortestURL = len("ws://a")
)

// A word is what a gateway tells its colleagues; the package comment shows it
// on the wire.
type word struct {
	ready map[string]time.Duration // by relay: for how long the gateway could write there; whole seconds
	out   map[mesh.Topic]bool      // topics that it carries
	on    []landing                // what relays have
	no    []landing                // what relays refused for good
	in    []mesh.EventID           // what is about to come from relays
	alone bool                     // it hears no other gateway
}

// A landing is the end of one event's way to one relay.
type landing struct {
	relay  string
	id     mesh.EventID
	reason string // of a refusal
}

var (
	errWord = errors.New("not a gateway's word")
	errTold = fmt.Errorf("more than %d events", maxTold)
)

// draft makes the event's draft. Relays and topics come in no order that
// matters.
func (w *word) draft() mesh.Draft {
	var tags [][]string
	for url, d := range w.ready {
		tags = append(tags, []string{"relay", url, strconv.Itoa(int(min(max(d/time.Second, 0), maxReady)))})
	}
	if len(w.out) > 0 {
		out := []string{"out"}
		for t := range w.out {
			out = append(out, string(t))
		}
		tags = append(tags, out)
	}
	by := map[string]int{} // where the tag of a relay's events stands
	for _, l := range w.on {
		at, ok := by[l.relay]
		if !ok {
			at = len(tags)
			by[l.relay] = at
			tags = append(tags, []string{"on", l.relay})
		}
		tags[at] = append(tags[at], l.id.String())
	}
	for _, l := range w.no {
		tags = append(tags, []string{"no", l.relay, l.id.String(), l.reason})
	}
	if len(w.in) > 0 {
		in := []string{"in"}
		for _, id := range w.in {
			in = append(in, id.String())
		}
		tags = append(tags, in)
	}
	if w.alone {
		tags = append(tags, []string{"alone"})
	}
	return mesh.Draft{Kind: mesh.KindGateway, Tags: tags}
}

// parseWord reads a word. Tags of other names are left to later versions.
func parseWord(e *mesh.Event) (*word, error) {
	if e.Kind() != mesh.KindGateway {
		return nil, fmt.Errorf("%w: kind %d", errWord, e.Kind())
	}
	w := &word{ready: map[string]time.Duration{}, out: map[mesh.Topic]bool{}}
	for _, t := range e.Tags() {
		if err := w.take(t); err != nil {
			return nil, fmt.Errorf("%w: %w", errWord, err)
		}
	}
	return w, nil
}

func (w *word) take(t []string) error {
	switch t[0] {
	case "relay":
		if len(t) != 3 || !isURL(t[1]) {
			return errors.New("relay without address and seconds")
		}
		n, err := strconv.ParseUint(t[2], 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != t[2] {
			return fmt.Errorf("seconds %.20q", t[2])
		}
		if _, twice := w.ready[t[1]]; twice {
			return fmt.Errorf("relay %.80q stands twice", t[1])
		}
		if len(w.ready) >= pool.MaxRelays {
			return fmt.Errorf("more than %d relays", pool.MaxRelays)
		}
		w.ready[t[1]] = time.Duration(n) * time.Second
	case "out":
		if len(w.out)+len(t)-1 > maxTopics {
			return fmt.Errorf("more than %d topics", maxTopics)
		}
		for _, s := range t[1:] {
			topic, err := mesh.ParseTopic(s)
			if err != nil {
				return err
			}
			w.out[topic] = true
		}
	case "on":
		if len(t) < 3 || !isURL(t[1]) {
			return errors.New("on without relay and events")
		}
		for _, s := range t[2:] {
			if err := w.land(&w.on, t[1], s, ""); err != nil {
				return err
			}
		}
	case "no":
		if len(t) != 4 || !isURL(t[1]) || len(t[3]) > maxReason {
			return errors.New("no without relay, event and reason")
		}
		return w.land(&w.no, t[1], t[2], t[3])
	case "alone":
		w.alone = true
	case "in":
		for _, s := range t[1:] {
			if w.told() >= maxTold {
				return errTold
			}
			id, err := mesh.ParseEventID(s)
			if err != nil {
				return err
			}
			w.in = append(w.in, id)
		}
	}
	return nil
}

// told counts the events in a word.
func (w *word) told() int { return len(w.on) + len(w.no) + len(w.in) }

func (w *word) land(list *[]landing, relay, hex, reason string) error {
	if w.told() >= maxTold {
		return errTold
	}
	id, err := mesh.ParseEventID(hex)
	*list = append(*list, landing{relay, id, reason})
	return err
}

// isURL reports whether s is a relay's address as everybody writes it.
func isURL(s string) bool {
	if len(s) < shortestURL {
		return false
	}
	at, err := pool.Normalize(s)
	return err == nil && at == s
}
