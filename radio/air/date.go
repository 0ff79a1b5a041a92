package air

import "drey/mesh"

// A frame of notes tells the last byte of its time: one second in 256. What it
// means follows from when events are dated that are on the air now (Codec.Near):
// the seconds that end so are tried, those nearest to it first, and the first
// byte of the id tells which is right, and the signature where several pass. 1024
// are tried: 36 hours to either side of one such moment, 18 and more of two that
// lie apart, less by as much as several authors are tried with each, and as wrong
// ones pass: the search for a signature's end is made four times at most. Where
// the clocks are further apart, the frame is parked and asked for in full, which
// holds the whole time.
const (
	shortStep = 256
	// shortFor is how far from every such moment the first event of a frame of
	// notes may be dated, in seconds: so few wrong ones are tried that hardly any
	// passes. What it leaves is for the clocks' errors.
	shortFor = 2 * 3600
	maxNear  = 2
)

// moments lists when events may be dated that are on the air now.
func (c *Codec) moments() []mesh.Unix {
	if c.Near == nil {
		return nil
	}
	list := c.Near()
	return list[:min(len(list), maxNear)]
}

// brief reports whether the time of a frame whose first event has this date may
// be short.
func (c *Codec) brief(at mesh.Unix) bool {
	list := c.moments()
	for _, m := range list {
		if apart(m, int64(at)) > shortFor {
			return false
		}
	}
	return len(list) > 0
}

// dates lists what a short time may mean, MaxRebuilds at most, the likeliest
// first.
func (c *Codec) dates(short byte) []mesh.Unix {
	moments := c.moments()
	if len(moments) == 0 {
		return nil
	}
	list := make([]mesh.Unix, 0, MaxRebuilds)
	for i := range int64(MaxRebuilds + 1) { // 0, 1, −1, 2, −2 …
		steps := (i + 1) / 2
		if i%2 == 0 {
			steps = -steps
		}
		for j := range moments {
			at := nearest(moments[j], short) + steps*shortStep
			if 0 <= at && at < 1<<32 && len(list) < MaxRebuilds && closest(moments, at) == j {
				list = append(list, mesh.Unix(at))
			}
		}
	}
	return list
}

// nearest returns the second nearest to m that ends in the byte.
func nearest(m mesh.Unix, short byte) int64 {
	return int64(m) + int64(int8(short-byte(m)))
}

// closest returns the index of the moment nearest to a time.
func closest(moments []mesh.Unix, at int64) (best int) {
	for i, m := range moments {
		if apart(m, at) < apart(moments[best], at) {
			best = i
		}
	}
	return best
}

func apart(m mesh.Unix, at int64) int64 { return max(int64(m)-at, at-int64(m)) }
