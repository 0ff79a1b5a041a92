package coder

import "math/bits"

// A coded decision: an answer and the probability that it is yes, or a place
// where the text could be over and the probability that it is.
type coded struct {
	p    uint16
	kind uint8 // 0 no, 1 yes, mayEnd
}

const mayEnd = 2

// window is how many bits before the end of a stream its reader begins to ask,
// after each character, whether the text is over. Before that it cannot be.
const window = 18

// An interval is what is left of the numbers a stream can be.
type interval struct {
	low, high uint32 // both belong to it
	shifted   int    // bytes that are settled, left of low and high
}

// cut returns the last number of the lower part, which stands for yes.
func (v *interval) cut(p int32) uint32 {
	return v.low + uint32(uint64(v.high-v.low)*uint64(p)>>16)
}

// width is how many bits are settled.
func (v *interval) width() int { return 8*v.shifted + bits.LeadingZeros32(v.high-v.low) }

// shortest returns the smallest number of the interval whose last 4-n bytes
// are zero.
func (v *interval) shortest(n int) (uint32, bool) {
	if n < 0 {
		return 0, false
	}
	zeros := uint64(1)<<(32-8*min(n, 4)) - 1
	x := (uint64(v.low) + zeros) &^ zeros
	return uint32(x), x <= uint64(v.high)
}

// needs is how many bytes must follow the settled ones.
func (v *interval) needs() int {
	n := 0
	for {
		if _, fits := v.shortest(n); fits {
			return n
		}
		n++
	}
}

// A writer narrows the interval with what is to be written.
type writer struct {
	interval
	out []byte
}

func (w *writer) write(p int32, bit int) {
	mid := w.cut(p)
	if bit == 1 {
		w.high = mid
	} else {
		w.low = mid + 1
	}
	for (w.low^w.high)>>24 == 0 {
		w.out = append(w.out, byte(w.low>>24))
		w.low, w.high = w.low<<8, w.high<<8|255
		w.shifted++
	}
}

// A header begins a stream: 3 bits with the language, or 8 where these are 6 or
// 7.
//
//	0 to 5     the language
//	6 and 5 bits  the long form: the language, 0 to 5; others are for versions to come
//	7 and 5 bits  0: the text follows as it is; others are for versions to come
type header struct {
	bits  uint32
	count int
}

const (
	modeLong = 6
	modeRaw  = 7
)

func parseHeader(first byte) (h header, l Language, ok bool) {
	switch mode := first >> 5; mode {
	case modeLong:
		h, l = header{uint32(first), 8}, Language(first&31)
	default:
		h, l = header{uint32(mode), 3}, Language(mode)
	}
	return h, l, l < languages
}

// long says that every place asks whether the text is over.
func (h header) long() bool { return h.count == 8 }

// interval is what the header leaves.
func (h header) interval() interval {
	if h.long() {
		return interval{high: 1<<32 - 1, shifted: 1}
	}
	low := h.bits << (32 - h.count)
	return interval{low: low, high: low | (1<<(32-h.count) - 1)}
}

// asks says whether the text may be over where v is left of a stream of size
// bytes.
func (h header) asks(v *interval, size int) bool {
	return h.long() || v.width() >= 8*size-window
}

// pack returns the stream of a text that has exactly size bytes, if the text can
// end there. The long form has the size it needs.
func pack(h header, text []coded, size int) ([]byte, bool) {
	w := writer{interval: h.interval()}
	if h.long() {
		w.out = append(w.out, byte(h.bits))
	}
	for i, d := range text {
		last := i == len(text)-1
		switch {
		case d.kind != mayEnd:
			w.write(int32(d.p), int(d.kind))
		case !h.asks(&w.interval, size):
			if last {
				return nil, false
			}
		case last:
			w.write(int32(d.p), 1)
		default:
			w.write(int32(d.p), 0)
		}
	}
	left := size - w.shifted
	if h.long() {
		left = w.needs()
	}
	x, fits := w.shortest(left)
	if !fits {
		return nil, false
	}
	for ; left > 0; left-- {
		w.out = append(w.out, byte(x>>24))
		x <<= 8
	}
	return w.out, true
}

// shortestPack returns the shortest stream of a text in a language.
func shortestPack(l Language, text []coded) []byte {
	short := header{uint32(l), 3}
	w := writer{interval: short.interval()}
	for _, d := range text {
		if d.kind != mayEnd {
			w.write(int32(d.p), int(d.kind))
		}
	}
	// Questions about the end only add to this.
	for size := max(1, w.width()/8); size <= (w.width()+window)/8; size++ {
		if out, ok := pack(short, text, size); ok {
			return out
		}
	}
	out, _ := pack(header{modeLong<<5 | uint32(l), 8}, text, 0)
	return out
}

// A reader follows a writer.
type reader struct {
	interval
	header
	size int    // of the whole stream
	at   uint32 // the stream's four bytes that low and high compare with
	rest []byte // after these; zeros follow it
}

func newReader(h header, b []byte) *reader {
	r := &reader{interval: h.interval(), header: h, size: len(b), rest: b}
	if h.long() {
		r.rest = b[1:]
	}
	for range 4 {
		r.advance()
	}
	return r
}

func (r *reader) advance() {
	r.at <<= 8
	if len(r.rest) > 0 {
		r.at |= uint32(r.rest[0])
		r.rest = r.rest[1:]
	}
}

// read returns the answer to a question that has yes with probability p.
func (r *reader) read(p int32) int {
	mid := r.cut(p)
	bit := 0
	if r.at <= mid {
		bit, r.high = 1, mid
	} else {
		r.low = mid + 1
	}
	for (r.low^r.high)>>24 == 0 {
		r.low, r.high = r.low<<8, r.high<<8|255
		r.shifted++
		r.advance()
	}
	return bit
}

// spent says that more was read than there is.
func (r *reader) spent() bool { return r.shifted > r.size }

// mayEnd says whether the text may be over here.
func (r *reader) mayEnd() bool { return r.asks(&r.interval, r.size) }

// whole says, after the text's end, that a writer would have written just these
// bytes.
func (r *reader) whole() bool {
	left := r.size - r.shifted
	if r.long() && left != r.needs() {
		return false
	}
	x, fits := r.shortest(left)
	if !fits || x != r.at {
		return false
	}
	for _, b := range r.rest {
		if b != 0 {
			return false
		}
	}
	return true
}
