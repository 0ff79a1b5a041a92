package radio

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio/meshtastic"
)

// What becomes of handhelds' positions and telemetry.
const (
	ReadingsOff   = "off"   // nothing; 'drey radio ls' shows the last ones
	ReadingsHere  = "here"  // events that stay on this machine
	ReadingsShare = "share" // events that the community's machines get
)

// Bounds of readings.
const (
	readingEvery = 5 * time.Minute // of one radio and sort; more often is not passed on
	readingsKept = 4096            // radios and sorts whose last time is remembered
	readingLife  = time.Hour       // an event's; nobody should act on an older place
)

// A reading is what a handheld said of itself.
type reading struct {
	from     meshtastic.NodeNum
	name     string
	gateway  meshtastic.NodeNum
	hash     byte
	viaMQTT  bool
	mayLeave bool
	tags     [][]string
	words    string
}

// readings paces what handhelds say of themselves. It belongs to the owner.
type readings struct{ last map[string]time.Time }

// due reports whether a reading may become an event now.
func (r *readings) due(now time.Time, key string) bool {
	if r.last == nil {
		r.last = make(map[string]time.Time)
	}
	if at, ok := r.last[key]; ok && now.Sub(at) < readingEvery {
		return false
	}
	if len(r.last) >= readingsKept {
		for k, at := range r.last {
			if now.Sub(at) >= readingEvery {
				delete(r.last, k)
			}
		}
		if len(r.last) >= readingsKept {
			return false
		}
	}
	r.last[key] = now
	return true
}

// reading takes in a position or telemetry that the radio heard.
func (o *owner) reading(now time.Time, p *meshtastic.Packet) {
	if _, mapped := o.c.topicOf(p.Channel); !mapped || p.To != meshtastic.Broadcast || p.From == o.myNum || o.c.readings() == ReadingsOff {
		return
	}
	tags, words := readingOf(p)
	if tags == nil || !o.paced.due(now, p.From.String()+tags[0][0]) {
		return
	}
	o.translator.later(job{reading: &reading{
		from: p.From, name: o.nameOf(p.From), gateway: o.myNum, hash: o.hash(p.Channel), viaMQTT: p.ViaMQTT,
		mayLeave: p.Data.Bitfield&meshtastic.BitOKToMQTT != 0, tags: tags, words: words,
	}})
}

func (c *Carrier) readings() string {
	if c.cfg.Readings == "" {
		return ReadingsHere
	}
	return c.cfg.Readings
}

// readingOf makes tags and words of a position or telemetry; nil of others.
func readingOf(p *meshtastic.Packet) (tags [][]string, words string) {
	number := func(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }
	switch p.Data.Port {
	case meshtastic.PortPosition:
		at, err := meshtastic.ParsePosition(p.Data.Payload)
		if err != nil || !at.Known {
			return nil, ""
		}
		lat, lon := number(at.Latitude, 5), number(at.Longitude, 5)
		tags = [][]string{{"position", lat, lon}}
		if at.Altitude != 0 {
			tags[0] = append(tags[0], strconv.Itoa(int(at.Altitude)))
		}
		return tags, "is at " + lat + ", " + lon
	case meshtastic.PortTelemetry:
		t, err := meshtastic.ParseReadings(p.Data.Payload)
		if err != nil {
			return nil, ""
		}
		var said []string
		add := func(name, value, unit string) {
			tags = append(tags, []string{name, value})
			said = append(said, name+" "+value+unit)
		}
		if m := t.Device; m != nil && m.Battery > 0 {
			add("battery", strconv.Itoa(int(min(m.Battery, 101))), " %")
		}
		if e := t.Environment; e != nil {
			for _, v := range []struct {
				name, unit string
				value      *float32
			}{{"temperature", " °C", e.Temperature}, {"humidity", " %", e.Humidity}, {"pressure", " hPa", e.Pressure}} {
				if v.value != nil && *v.value == *v.value && *v.value > -1e4 && *v.value < 1e4 {
					add(v.name, number(float64(*v.value), 1), v.unit)
				}
			}
		}
		return tags, strings.Join(said, ", ")
	}
	return nil, ""
}

// draft is the event of a reading.
func (r *reading) draft(now time.Time, share bool) mesh.Draft {
	name := r.name
	if name == "" {
		name = r.from.String()
	}
	d := mesh.Draft{CreatedAt: mesh.UnixOf(now), Kind: mesh.KindReading, Content: name + ": " + r.words}
	d.Tags = append(d.Tags, []string{"t", string(mesh.TopicRadio)})
	d.Tags = append(d.Tags, mesh.LabelTags(mesh.LabelUnsignedRadio)...)
	sender := []string{tagSender, r.from.String()}
	if r.name != "" {
		sender = append(sender, r.name)
	}
	d.Tags = append(d.Tags, sender, []string{tagGateway, r.gateway.String(), fmt.Sprintf("%02x", r.hash)})
	d.Tags = append(d.Tags, r.tags...)
	if r.viaMQTT {
		d.Tags = append(d.Tags, []string{tagVia, "mqtt"})
	}
	if !r.mayLeave {
		d.Tags = append(d.Tags, mesh.LocalTag(protocol))
	}
	if !share {
		d.Tags = append(d.Tags, mesh.MachineTag())
	}
	d.Tags = append(d.Tags, []string{"expiration", strconv.FormatInt(now.Add(readingLife).Unix(), 10)})
	return d
}

// read signs a reading and hands it to the hub.
func (t *translator) read(ctx context.Context, r *reading) error {
	e, err := t.c.cfg.Signer.Sign(r.draft(t.c.cfg.Clock(), t.c.readings() == ReadingsShare))
	if err != nil {
		return fmt.Errorf("sign a reading: %w", err)
	}
	return t.hand(ctx, e, mesh.TopicRadio)
}

// said takes in a text of a program at our own radio, when it is on the air: it
// becomes an event like one that was heard.
func (o *owner) said(p *meshtastic.Packet) {
	if p.Data.Port != meshtastic.PortText {
		return
	}
	own, data := *p, *p.Data
	own.Data, own.From, data.Bitfield = &data, o.myNum, 0
	if o.lora.ConfigOKToMQTT {
		data.Bitfield = meshtastic.BitOKToMQTT
	}
	o.text(&own)
}

// acknowledged notes in the history of a text of ours that somebody answered
// it, in words or with a sign: that person has read it.
func (o *owner) acknowledged(p *meshtastic.Packet) {
	for _, out := range o.out.done {
		if _, ok := out.names[p.Data.ReplyID]; ok && out.channel == p.Channel && out.d != nil {
			state := "acknowledged by " + cleanName(o.nameOrNum(p.From))
			if out.told != state {
				out.told = state
				out.tell(state)
			}
		}
	}
}
