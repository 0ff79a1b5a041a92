package mail

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/chacha20"

	"drey/mesh"
)

// A letter is the form of a private message for the air: an event of kind 3742,
// signed by the machine that wrote it, whose only tag is its expiration. Its
// content is base64 of
//
//	nonce   [4]byte  random
//	sealed           ChaCha20 of the body
//	mac     [8]byte  first bytes of HMAC-SHA256 of sealed
//
// under keys that are HKDF-Expand of the conversation key (NIP-44) with the info
// "drey/1/letter" ‖ 0 ‖ author ‖ created_at (4) ‖ nonce. Integers are big endian,
// a uvarint is minimal. The body:
//
//	form    byte     form in the low, zeros at the end in the high four bits
//	age     uvarint  created_at less the message's
//	note    (1)      the text, compressed: kind 14, its only tag names the reader
//	receipt (2)      1 to 16 beginnings of message ids, 8 bytes each: kind 3743
//	other   (3)      uvarint kind, uvarint tags, for each uvarint items, for each
//	                 uvarint length × 2 and the bytes, or 65 and 32 bytes whose
//	                 hexadecimal form it is; then the text, compressed
//
// The event's signature proves its author; the mac tells the reader, and nobody
// else, for whom it is. That the same message comes again under another nonce is
// known by its id.
const (
	letterNonce  = 4
	letterMAC    = 8
	letterBlock  = 4    // a body's size is a multiple of this
	maxLetter    = 1900 // bytes of content before base64: what fragments can bear
	letterFor    = 3 * 24 * time.Hour
	letterDomain = "drey/1/letter\x00"

	maxLetterText = 8192 // bytes, uncompressed
	maxLetterAge  = 1 << 24
	maxReceipts   = 16

	formNote    = 1
	formReceipt = 2
	formOther   = 3
)

// A Text compresses texts on the air. Decode yields at most limit bytes, with
// work in proportion. radio/air/coder is one.
type Text interface {
	Encode(text []byte) []byte
	Decode(b []byte, limit int) ([]byte, error)
}

// errLetter reports a letter that its author could not have written so.
var errLetter = errors.New("malformed letter")

// A short names a message where bytes are few: how its id begins.
type short [8]byte

func shortOf(id mesh.EventID) short { return short(id[:8]) }

// A letter is what one held: a message, or receipts.
type letter struct {
	rumor    *mesh.Rumor
	receipts []short
}

// writeLetter puts a message into a letter; ErrTooLong where none can hold it.
// The nonce must be random.
func writeLetter(author *mesh.SecretKey, r *mesh.Rumor, to mesh.PubKey, text Text, now time.Time, nonce [letterNonce]byte) (*mesh.Event, error) {
	at := max(mesh.UnixOf(now), r.CreatedAt())
	body := []byte{formNote}
	body = binary.AppendUvarint(body, uint64(at-r.CreatedAt()))
	switch {
	case at-r.CreatedAt() > maxLetterAge:
		return nil, fmt.Errorf("%w: it is too old for a letter", ErrTooLong)
	case len(r.Content()) > maxLetterText:
		return nil, fmt.Errorf("%w: %d bytes, a letter has at most %d", ErrTooLong, len(r.Content()), maxLetterText)
	case r.Kind() == mesh.KindReceipt:
		body[0] = formReceipt
		ids := r.TagValues("e")
		if len(ids) > maxReceipts {
			return nil, fmt.Errorf("%w: %d receipts, at most %d", ErrTooLong, len(ids), maxReceipts)
		}
		for _, v := range ids {
			id, err := mesh.ParseEventID(v)
			if err != nil {
				return nil, err
			}
			s := shortOf(id)
			body = append(body, s[:]...)
		}
	default:
		if !plainNote(r, to) {
			body[0] = formOther
			body = appendHead(body, r)
		}
		body = append(body, text.Encode([]byte(r.Content()))...)
	}
	return sealLetter(author, body, to, at, nonce)
}

// plainNote reports whether all that a note says follows from its text, date
// and reader.
func plainNote(r *mesh.Rumor, to mesh.PubKey) bool {
	tags := r.Tags()
	return r.Kind() == mesh.KindPrivateNote && len(tags) == 1 && slices.Equal(tags[0], []string{"p", to.String()})
}

func appendHead(b []byte, r *mesh.Rumor) []byte {
	b = binary.AppendUvarint(b, uint64(r.Kind()))
	b = binary.AppendUvarint(b, uint64(len(r.Tags())))
	for _, tag := range r.Tags() {
		b = binary.AppendUvarint(b, uint64(len(tag)))
		for _, v := range tag {
			if key, err := mesh.ParsePubKey(v); err == nil {
				b = append(append(b, 2*32+1), key[:]...)
				continue
			}
			b = binary.AppendUvarint(b, uint64(2*len(v)))
			b = append(b, v...)
		}
	}
	return b
}

// sealLetter pads, seals and signs a body.
func sealLetter(author *mesh.SecretKey, body []byte, to mesh.PubKey, at mesh.Unix, nonce [letterNonce]byte) (*mesh.Event, error) {
	pad := (letterBlock - len(body)%letterBlock) % letterBlock
	body[0] |= byte(pad) << 4
	body = append(body, make([]byte, pad)...)
	if n := letterNonce + len(body) + letterMAC; n > maxLetter {
		return nil, fmt.Errorf("%w: %d bytes in a letter, at most %d", ErrTooLong, n, maxLetter)
	}
	conversation, err := author.Conversation(to)
	if err != nil {
		return nil, err
	}
	stream, mac := letterKeys(conversation, author.PubKey(), at, nonce[:])
	stream.XORKeyStream(body, body)
	b := slices.Concat(nonce[:], body, letterSum(mac, body))
	return author.Sign(mesh.Draft{
		CreatedAt: at, Kind: mesh.KindLetter,
		Tags:    [][]string{{"expiration", strconv.FormatInt(at.Time().Add(letterFor).Unix(), 10)}},
		Content: base64.StdEncoding.EncodeToString(b),
	})
}

// openLetter opens a letter for the reader that shares conversation with its
// author. One for somebody else is ErrNotForUs.
func openLetter(e *mesh.Event, conversation mesh.Conversation, reader mesh.PubKey, text Text) (*letter, error) {
	b, err := fromBase64(e.Content())
	if err != nil || len(b) < letterNonce+letterBlock+letterMAC || len(b) > maxLetter {
		return nil, fmt.Errorf("%w: %d letters of content", errLetter, len(e.Content()))
	}
	nonce, body, sum := b[:letterNonce], b[letterNonce:len(b)-letterMAC], b[len(b)-letterMAC:]
	stream, mac := letterKeys(conversation, e.Author(), e.CreatedAt(), nonce)
	if !hmac.Equal(sum, letterSum(mac, body)) {
		return nil, ErrNotForUs
	}
	stream.XORKeyStream(body, body)
	return parseLetter(e, body, reader, text)
}

// parseLetter reads a body, all of b.
func parseLetter(e *mesh.Event, b []byte, reader mesh.PubKey, text Text) (*letter, error) {
	form, pad := b[0]&0x0f, int(b[0]>>4)
	if len(b)%letterBlock != 0 || pad >= letterBlock || pad >= len(b) {
		return nil, fmt.Errorf("%w: %d bytes, %d of them to fill", errLetter, len(b), pad)
	}
	for _, c := range b[len(b)-pad:] {
		if c != 0 {
			return nil, fmt.Errorf("%w: filled with something", errLetter)
		}
	}
	in := &letterReader{rest: b[1 : len(b)-pad]}
	age := in.uvarint(maxLetterAge)
	d := mesh.Draft{CreatedAt: e.CreatedAt() - mesh.Unix(age), Kind: mesh.KindPrivateNote, Tags: [][]string{{"p", reader.String()}}}
	if in.err == nil && age > int(e.CreatedAt()) {
		in.err = errLetter
	}
	switch form {
	case formNote:
	case formReceipt:
		return parseReceipts(in)
	case formOther:
		d.Kind, d.Tags = in.head()
	default:
		return nil, fmt.Errorf("%w: form %d is not known", errLetter, form)
	}
	if in.err != nil {
		return nil, in.err
	}
	content, err := text.Decode(in.rest, maxLetterText)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLetter, err)
	}
	d.Content = string(content)
	r, err := mesh.NewRumor(e.Author(), d)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLetter, err)
	}
	return &letter{rumor: r}, nil
}

func parseReceipts(in *letterReader) (*letter, error) {
	n := len(in.rest) / len(short{})
	if in.err != nil || len(in.rest)%len(short{}) != 0 || n < 1 || n > maxReceipts {
		return nil, fmt.Errorf("%w: %d bytes of receipts", errLetter, len(in.rest))
	}
	l := &letter{receipts: make([]short, n)}
	for i := range l.receipts {
		l.receipts[i] = short(in.rest[i*len(short{}):])
	}
	return l, nil
}

// letterReader takes a body apart; after the first error it yields zeros.
type letterReader struct {
	rest []byte
	err  error
}

func (r *letterReader) uvarint(most int) int {
	v, n := binary.Uvarint(r.rest)
	switch {
	case r.err != nil:
		return 0
	case n <= 0 || n > 1 && r.rest[n-1] == 0:
		r.err = fmt.Errorf("%w: a number is cut off, or longer than it need be", errLetter)
		return 0
	case v > uint64(most):
		r.err = fmt.Errorf("%w: %d, at most %d", errLetter, v, most)
		return 0
	}
	r.rest = r.rest[n:]
	return int(v)
}

func (r *letterReader) head() (mesh.Kind, [][]string) {
	kind := mesh.Kind(r.uvarint(1<<16 - 1))
	tags := make([][]string, 0, 4)
	for range r.uvarint(mesh.MaxTags) {
		var tag []string
		for range r.uvarint(mesh.MaxTagItems) {
			tag = append(tag, r.item())
		}
		if tags = append(tags, tag); r.err != nil {
			break
		}
	}
	return kind, tags
}

func (r *letterReader) item() string {
	size := r.uvarint(2 * maxLetter)
	n := size / 2
	if r.err != nil || n > len(r.rest) || size%2 == 1 && n != 32 {
		if r.err == nil {
			r.err = fmt.Errorf("%w: an item of %d bytes", errLetter, n)
		}
		return ""
	}
	v := r.rest[:n]
	r.rest = r.rest[n:]
	if size%2 == 1 {
		return hex.EncodeToString(v)
	}
	if _, err := mesh.ParsePubKey(string(v)); err == nil {
		r.err = fmt.Errorf("%w: 32 bytes written in hexadecimal", errLetter)
	}
	return string(v)
}

func letterKeys(c mesh.Conversation, author mesh.PubKey, at mesh.Unix, nonce []byte) (*chacha20.Cipher, []byte) {
	info := append([]byte(letterDomain), author[:]...)
	info = binary.BigEndian.AppendUint32(info, uint32(at))
	info = append(info, nonce...)
	k, err := hkdf.Expand(sha256.New, c[:], string(info), 32+12+32)
	if err != nil {
		panic("mail: HKDF of 76 bytes: " + err.Error()) // only a length beyond its limit fails
	}
	return streamOf(k[:32], k[32:44]), k[44:]
}

func letterSum(key, sealed []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(sealed)
	return h.Sum(nil)[:letterMAC]
}
