package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"drey/web/lang"
)

//go:embed static/*.css static/*.js static/*.svg static/vendor
var staticFiles embed.FS

// static serves the style sheet, scripts and pictures. Their addresses carry a
// hash of all of them, so that browsers may keep them for ever, and a script's
// relative imports stay within one version.
type static struct {
	files map[string]*staticFile // by path below static/; immutable
	texts map[string]*staticFile // scripts' texts, by language; immutable
	hash  string                 // immutable
}

type staticFile struct {
	kind   string
	plain  func() []byte
	packed func() []byte // compressed when first asked for
}

func newStatic(languages *lang.Set) (*static, error) {
	s := &static{files: make(map[string]*staticFile), texts: make(map[string]*staticFile)}
	sum := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := staticFiles.ReadFile(name)
		if err != nil {
			return err
		}
		sum.Write([]byte(name))
		sum.Write(b)
		s.files[strings.TrimPrefix(name, "static/")] = newStaticFile(kindOf(name), func() []byte {
			b, _ := staticFiles.ReadFile(name) // it was read before
			return b
		})
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, tag := range append(tagsOf(languages), lang.PseudoTag) {
		c, _ := languages.Lookup(tag)
		b, err := json.Marshal(c.Group("js"))
		if err != nil {
			return nil, err
		}
		sum.Write(b)
		s.texts[tag] = newStaticFile("application/json", func() []byte { return b })
	}
	s.hash = hex.EncodeToString(sum.Sum(nil)[:6])
	return s, nil
}

func tagsOf(languages *lang.Set) (tags []string) {
	for _, c := range languages.All() {
		tags = append(tags, c.Tag)
	}
	return tags
}

// kindOf is the media type of a file. What the machine's own tables say does
// not count.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".wasm":
		return "application/wasm"
	case ".json":
		return "application/json"
	default:
		return "text/plain; charset=utf-8" // licences
	}
}

func newStaticFile(kind string, plain func() []byte) *staticFile {
	return &staticFile{kind, plain, sync.OnceValue(func() []byte {
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression) // the level is valid
		w.Write(plain())
		w.Close()
		return z.Bytes()
	})}
}

// base is what the address of every file begins with.
func (s *static) base() string { return "/static/" + s.hash + "/" }

// strings is the address of the scripts' texts in a language.
func (s *static) strings(c *lang.Catalogue) string { return s.base() + "lang/" + c.Tag + ".json" }

func (s *static) has(name string) bool { return s.files[name] != nil }

func (s *static) find(name string) *staticFile {
	if tag, ok := strings.CutPrefix(name, "lang/"); ok {
		return s.texts[strings.TrimSuffix(tag, ".json")]
	}
	return s.files[name]
}

// getStatic answers GET /static/HASH/FILE. A page of another version of the
// program gets what there is now, not to be kept.
func (s *Server) getStatic(w http.ResponseWriter, r *http.Request, _ caller) error {
	f := s.static.find(r.PathValue("file"))
	if f == nil {
		return NewError(CodeNotFound, "there is no such file", "", "", nil)
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Vary", "Accept-Encoding")
	if r.PathValue("hash") == s.static.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	b := f.plain()
	if len(b) >= worthPacking && takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		b = f.packed()
	}
	w.Write(b) // a visitor who has gone is no failure
	return nil
}
