package mail

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drey/mesh"
)

// A bundle is an opaque payload in a private message: rumors of kind 3745, one
// for each part, that say the same of the whole. Their content is padded base64
// of the part, their tags
//
//	["p", reader] …
//	["bundle", SHA-256 of the whole in hexadecimal, part from 0, parts, size]
//	["name", file name]  ["m", media type]   where they are known
//
// All parts but the last have the same size. The first part's id names the
// message.
const (
	// MaxBundle bounds a payload, in bytes.
	MaxBundle   = 64 << 10
	maxPart     = 20 << 10 // bytes, before base64
	maxFileName = 255
)

// errBundle reports a part that says of the whole what cannot be.
var errBundle = errors.New("malformed part of a bundle")

// A File is an opaque payload.
type File struct {
	Name  string // without a path; may be empty
	Type  string // media type; may be empty
	Bytes []byte // 1 to MaxBundle
}

// A bundlePart is what one rumor says.
type bundlePart struct {
	sum               [32]byte
	part, parts, size int
	name, media       string
	content           []byte
}

// split cuts a file into drafts that lack a date.
func (f *File) split(readers [][]string) ([]mesh.Draft, error) {
	if len(f.Bytes) == 0 || len(f.Bytes) > MaxBundle {
		return nil, fmt.Errorf("%w: the file has %d bytes, allowed are 1 to %d", ErrTooLong, len(f.Bytes), MaxBundle)
	}
	if err := checkFileName(f.Name); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(f.Bytes)
	parts := (len(f.Bytes) + maxPart - 1) / maxPart
	size := (len(f.Bytes) + parts - 1) / parts
	var drafts []mesh.Draft
	for part := range slices.Chunk(f.Bytes, size) {
		tags := slices.Clone(readers)
		tags = append(tags, []string{"bundle", hex.EncodeToString(sum[:]), strconv.Itoa(len(drafts)), strconv.Itoa(parts), strconv.Itoa(len(f.Bytes))})
		if f.Name != "" {
			tags = append(tags, []string{"name", f.Name})
		}
		if f.Type != "" {
			tags = append(tags, []string{"m", f.Type})
		}
		drafts = append(drafts, mesh.Draft{Kind: mesh.KindBundle, Tags: tags, Content: base64.StdEncoding.EncodeToString(part)})
	}
	return drafts, nil
}

// checkFileName refuses names that lead elsewhere.
func checkFileName(name string) error {
	if len(name) > maxFileName || strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." {
		return fmt.Errorf("%w: %.80q is no name of a file", errBundle, name)
	}
	return nil
}

func parsePart(r *mesh.Rumor) (*bundlePart, error) {
	var tag []string
	for _, t := range r.Tags() {
		if len(t) > 0 && t[0] == "bundle" {
			if tag != nil {
				return nil, fmt.Errorf("%w: two tags", errBundle)
			}
			tag = t
		}
	}
	if len(tag) != 5 {
		return nil, fmt.Errorf("%w: a tag of %d items, want 5", errBundle, len(tag))
	}
	p := new(bundlePart)
	sum, err := mesh.ParseEventID(tag[1])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBundle, err)
	}
	p.sum = sum
	for i, v := range []*int{&p.part, &p.parts, &p.size} {
		if *v, err = strconv.Atoi(tag[2+i]); err != nil || strconv.Itoa(*v) != tag[2+i] {
			return nil, fmt.Errorf("%w: %.20q is no number", errBundle, tag[2+i])
		}
	}
	if p.size < 1 || p.size > MaxBundle || p.parts < 1 || p.parts > p.size || p.parts > MaxBundle/1024 || p.part < 0 || p.part >= p.parts {
		return nil, fmt.Errorf("%w: part %d of %d, %d bytes", errBundle, p.part, p.parts, p.size)
	}
	p.name, _ = r.Tag("name")
	p.media, _ = r.Tag("m")
	if err := checkFileName(p.name); err != nil {
		return nil, err
	}
	if p.content, err = fromBase64(r.Content()); err != nil {
		return nil, fmt.Errorf("%w: %w", errBundle, err)
	}
	if len(p.content) == 0 || len(p.content) > MaxBundle {
		return nil, fmt.Errorf("%w: %d bytes", errBundle, len(p.content))
	}
	return p, nil
}

// bundleKey is where the shelf has which message holds a part.
func bundleKey(author mesh.PubKey, p *bundlePart, part int) string {
	return fmt.Sprintf("b/%s/%x/%d-%d/%d", author, p.sum, p.parts, p.size, part)
}

// collect notes where a part is, and reports whether the whole is here now.
func (m *Mail) collect(ctx context.Context, r *mesh.Rumor, p *bundlePart) (whole bool, err error) {
	if p.parts == 1 {
		return true, nil
	}
	id := r.ID()
	if err := m.cfg.Shelf.Put(ctx, bundleKey(r.Author(), p, p.part), id[:]); err != nil {
		return false, err
	}
	for i := range p.parts {
		if _, err := m.cfg.Shelf.Value(ctx, bundleKey(r.Author(), p, i)); err != nil {
			if errors.Is(err, mesh.ErrNotFound) {
				return false, nil
			}
			return false, err
		}
	}
	return true, nil
}

// first returns the message that names the bundle of which m is a part.
func (m *Mail) first(ctx context.Context, msg *Message) (*Message, error) {
	p, err := parsePart(msg.Rumor)
	if err != nil || p.part == 0 {
		return msg, err
	}
	return m.partOf(ctx, msg.Rumor.Author(), p, 0)
}

// partOf returns the message that holds a part of a bundle.
func (m *Mail) partOf(ctx context.Context, author mesh.PubKey, p *bundlePart, part int) (*Message, error) {
	b, err := m.cfg.Shelf.Value(ctx, bundleKey(author, p, part))
	if err != nil {
		return nil, err
	}
	if len(b) != len(mesh.EventID{}) {
		return nil, mesh.ErrNotFound
	}
	_, found, err := m.book.read(ctx, mesh.EventID(b))
	return found, err
}

// forgetPart removes what the shelf has of a part beside its message.
func forgetPart(ctx context.Context, shelf mesh.Shelf, r *mesh.Rumor) error {
	if r.Kind() != mesh.KindBundle {
		return nil
	}
	p, err := parsePart(r)
	if err != nil {
		return nil // it never had anything
	}
	return shelf.Delete(ctx, bundleKey(r.Author(), p, p.part))
}

// File returns the payload of a bundle, all of whose parts came; mesh.ErrNotFound
// while they have not, or for a message that has none.
func (m *Mail) File(ctx context.Context, id mesh.EventID) (*File, error) {
	_, msg, err := m.book.read(ctx, id)
	if err != nil {
		return nil, err
	}
	if msg.Rumor.Kind() != mesh.KindBundle {
		return nil, mesh.ErrNotFound
	}
	p, err := parsePart(msg.Rumor)
	if err != nil {
		return nil, err
	}
	var whole []byte
	for i := range p.parts {
		at := p
		if i != p.part {
			other, err := m.partOf(ctx, msg.Rumor.Author(), p, i)
			if err != nil {
				return nil, err
			}
			if at, err = parsePart(other.Rumor); err != nil {
				return nil, err
			}
		}
		whole = append(whole, at.content...)
	}
	if sum := sha256.Sum256(whole); len(whole) != p.size || !bytes.Equal(sum[:], p.sum[:]) {
		return nil, fmt.Errorf("%w: the parts are not those of the whole", errBundle)
	}
	return &File{Name: p.name, Type: p.media, Bytes: whole}, nil
}

// A FileInfo is what a part of a bundle says of the whole.
type FileInfo struct {
	Name, Type string // may be empty
	Size       int    // bytes
}

// FileOf returns what a message of kind 3745 says of its payload, or nil.
func FileOf(r *mesh.Rumor) *FileInfo {
	p, err := parsePart(r)
	if err != nil {
		return nil
	}
	return &FileInfo{Name: p.name, Type: p.media, Size: p.size}
}
