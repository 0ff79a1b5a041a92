package radio

import (
	"slices"
	"time"

	"drey/mesh"
	"drey/radio/air"
	"drey/radio/meshtastic"
)

// An outgoing is something on its way to the air. It is one of three things: an
// event as a text, in one packet or more; an event in signed form, alone, with
// others in one frame, or in fragments; or a load, one packet as it is.
type outgoing struct {
	d        *mesh.Delivery // nil for loads, and for what heals a split
	event    *mesh.Event    // nil for loads
	topic    mesh.Topic
	priority mesh.Priority
	channel  uint32
	viaMQTT  bool
	expires  time.Time // zero: never
	came     time.Time // to this machine, by its clock; zero: not known

	// Of a text.
	parts  []string
	names  map[uint32]int // packet id → part, for every attempt a colleague may make
	behind time.Time      // until then its signed form goes first; zero: it has none
	others [][]string     // how colleagues may write it who know the author by another name

	// Of an event in signed form.
	signed bool
	size   int       // of a frame that holds it alone
	both   bool      // it is said as a text too
	full   bool      // nothing in it is shortened: somebody could not rebuild it
	repair bool      // more fragments of a set that was sent
	set    *air.Set  // its fragments, where one frame does not hold it
	frame  *frame    // that the radio may have already
	in     *frame    // of another outgoing, that this one rides in
	rank   int       // of this gateway, to say it
	putOff bool      // the channel was too busy at its turn: a colleague may have said it
	near   bool      // a colleague vouches for having said it, and we did not hear it: it goes to our neighbours only
	kept   bool      // its turn passed while it waited for air, which is kept for it
	since  time.Time // whoever said it before does not count: it is to be said again

	load *load

	said    []bool             // each part, by us or by a colleague
	attempt int                // that packet ids are made with
	due     time.Time          // not before
	heard   meshtastic.NodeNum // the colleague who said it, or some of it
	delays  int                // by hearing it over a public key
	late    bool               // its first turn passed before we could take it
	yields  int                // by hearing a colleague, whose turn is before ours, say something else
	again   bool               // the radio may have this part already, under the same packet id
	tries   int
	told    string
	toldAt  time.Time
	checked bool // the archive was asked whether a colleague vouches for having said it
	missed  bool // a colleague's turn has passed in silence
}

// A load is one packet that goes on the air as it is: a control frame, or what
// a program at the shared radio sends.
type load struct {
	packet  meshtastic.Packet
	control bool // a control frame of ours: its hop limit is chosen when it goes
	// still is asked at the moment of sending whether there is still need; nil
	// means yes.
	still func(now time.Time) bool
	// ended is told once what became of it: nil when it is on the air. nil asks
	// for no news.
	ended func(err error)
}

// A frame is a payload in signed form, with the events that ride in it beside
// the one that it was made for.
type frame struct {
	payload []byte
	riders  []*outgoing
}

// part returns the index of the next part to say, or -1. Fragments are counted
// by their set.
func (o *outgoing) part() int {
	if o.set != nil {
		if o.frame == nil && o.set.Owed() == 0 {
			return -1
		}
		return o.set.Sent()
	}
	return slices.Index(o.said, false)
}

// report adds a line to the history, but not the same one over and over.
func (o *outgoing) report(now time.Time, key, state string) {
	if o.told == key && now.Sub(o.toldAt) < reportEvery {
		return
	}
	o.told, o.toldAt = key, now
	o.tell(state)
}

// tell adds a line to the history, where somebody keeps one.
func (o *outgoing) tell(state string) {
	if o.d != nil {
		o.d.Report(state)
	}
}

// finish tells whoever handed o over what became of it.
func (o *outgoing) finish(err error) {
	switch {
	case o.d != nil:
		o.d.Done(err)
	case o.load != nil && o.load.ended != nil:
		o.load.ended(err)
	}
}

// giveBack returns o unfinished.
func (o *outgoing) giveBack() {
	switch {
	case o.d != nil:
		o.d.Release()
	case o.load != nil && o.load.ended != nil:
		o.load.ended(errStopped)
	}
}

// port returns the port that o's packets go to.
func (o *outgoing) port() meshtastic.PortNum {
	switch {
	case o.load != nil:
		return o.load.packet.Data.Port
	case o.signed:
		return meshtastic.PortPrivate
	}
	return meshtastic.PortText
}

// forgetWord has colleagues' words looked for again, for o and what rides in it.
func (o *outgoing) forgetWord() {
	o.near = false
	if o.frame != nil {
		for _, r := range o.frame.riders {
			r.near = false
		}
	}
}

// mayMiss reports whether o is worth saying once more, to our neighbours alone,
// when a colleague vouches for having said it and we did not hear it: it may not
// have reached them either, and it costs one transmission. Fragments are asked for.
func (o *outgoing) mayMiss() bool {
	return o.signed && o.set == nil && o.d != nil && o.priority <= mesh.Chat
}

// length is how many bytes of payload the next packet of o has, as far as it
// is known before it is made.
func (o *outgoing) length() int {
	part := max(o.part(), 0)
	switch {
	case o.load != nil:
		return len(o.load.packet.Data.Payload)
	case o.frame != nil:
		return len(o.frame.payload)
	case o.set != nil:
		return o.set.Size()
	case o.signed:
		return o.size
	}
	return len(o.parts[part])
}
