package coder

import (
	"errors"
	"sync"
)

// Version names the format, the primes included: any change to one of them
// that alters a single stream is a new version. See header for where it stands.
const Version = 1

// MaxText is the longest text, in bytes, that is compressed; longer ones are
// carried as they are. It bounds the time and memory of either direction.
const MaxText = 16384

// A Language is one that has a primed model of its own, or Universal.
type Language uint8

// The languages, by their number in a stream.
const (
	English Language = iota
	Spanish
	Ukrainian
	Arabic
	Burmese
	Universal // any bytes, primed with a little of many languages and of data
	languages = iota
)

// String is the language's code in ISO 639-1, or "any".
func (l Language) String() string {
	return [languages]string{"en", "es", "uk", "ar", "my", "any"}[l]
}

// What Decode refuses; match with errors.Is.
var (
	ErrTooLong = errors.New("the text is longer than allowed")
	ErrCorrupt = errors.New("not a compressed text of this version")
)

// A Coder holds the primed models. A model is made when it is first needed,
// takes less than 8 MB and is kept. All methods may be called concurrently;
// calls that need the same language take turns.
type Coder struct {
	tables *tables // immutable
	tastes func() *tastes
	rooms  [languages]room
}

// A room is where one language is worked in.
type room struct {
	mu struct {
		sync.Mutex
		model *model  // nil until needed
		coded []coded // scratch
	}
}

// New returns a coder without any model yet.
func New() *Coder {
	return &Coder{tables: newTables(), tastes: sync.OnceValue(newTastes)}
}

// Preload makes the models of some languages, or without any named of all, so
// that the first text need not wait for them: about 0.2 s each.
func (c *Coder) Preload(which ...Language) {
	if len(which) == 0 {
		which = []Language{English, Spanish, Ukrainian, Arabic, Burmese, Universal}
	}
	for _, l := range which {
		r := &c.rooms[l]
		r.mu.Lock()
		c.modelLocked(l)
		r.mu.Unlock()
	}
}

func (c *Coder) modelLocked(l Language) *model {
	r := &c.rooms[l]
	if r.mu.model == nil {
		r.mu.model = primed(c.tables, l, primeOf(l))
	}
	return r.mu.model
}

// Encode returns text in the fewest bytes it finds, never more than one byte
// longer than text. The result does not contain its own length: Decode wants
// exactly these bytes. An empty text takes none.
func (c *Coder) Encode(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	best := append([]byte{modeRaw << 5}, text...)
	if len(text) > MaxText {
		return best
	}
	likely, poor := c.languages(text)
	for _, l := range likely {
		if b := c.encodeIn(l, text); b != nil && len(b) < len(best) {
			best = b
		}
	}
	if len(best)*100 > len(text)*poor {
		if b := c.encodeIn(Universal, text); len(b) < len(best) {
			best = b
		}
	}
	return best
}

// keptScratch is the largest scratch, in decisions, that is kept for the next
// text: 64 kB.
const keptScratch = 1 << 14

// encodeIn compresses text in one language, or returns nil when its alphabet
// cannot write the text.
func (c *Coder) encodeIn(l Language, text []byte) []byte {
	r := &c.rooms[l]
	r.mu.Lock()
	defer r.mu.Unlock()
	m := c.modelLocked(l)
	defer m.rollback()
	coded, ok := m.record(text, r.mu.coded[:0])
	if cap(coded) <= keptScratch {
		r.mu.coded = coded
	}
	if !ok {
		return nil
	}
	return shortestPack(l, coded)
}

// Decode returns the text that Encode made b of, at most limit bytes of it,
// else ErrTooLong. Anything Encode would not write is ErrCorrupt, as far as it
// can be told. Time is bounded by the smaller of limit and MaxText, whatever b
// is.
func (c *Coder) Decode(b []byte, limit int) ([]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] == modeRaw<<5 {
		if len(b)-1 > limit {
			return nil, ErrTooLong
		}
		return append([]byte(nil), b[1:]...), nil
	}
	h, l, ok := parseHeader(b[0])
	if !ok {
		return nil, ErrCorrupt
	}
	r := &c.rooms[l]
	r.mu.Lock()
	defer r.mu.Unlock()
	m := c.modelLocked(l)
	defer m.rollback()
	return m.replay(newReader(h, b), min(limit, MaxText))
}
