package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"drey/mesh"
	"drey/web"
)

// A bodied is one operation that takes JSON.
type bodied struct {
	name, path string // "POST /v1/peers"; path is one to ask
	schema     *schema
	wants      bool // a body must come
}

// bodies lists every operation that posts, also those that take no body.
func (d *openAPIDoc) bodies(t testing.TB) (all []bodied) {
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		var op operation
		raw, ok := d.Paths[path]["post"]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, &op); err != nil {
			t.Fatal(err)
		}
		at := strings.NewReplacer("{topic}", "commons").Replace(path)
		content, ok := op.Body.Content["application/json"]
		if !ok && len(op.Body.Content) > 0 {
			continue // lines of events, which have tests of their own
		}
		all = append(all, bodied{"POST " + path, at, content.Schema, ok})
	}
	return all
}

// sample makes a value that fits a schema.
func (d *openAPIDoc) sample(s *schema) any {
	switch {
	case s == nil:
		return nil
	case s.Ref != "":
		return d.sample(d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")])
	case len(s.OneOf) > 0:
		return d.sample(s.OneOf[0])
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	}
	switch kind, _ := s.Type.(string); kind {
	case "string":
		return "x"
	case "integer", "number":
		return 1.0
	case "boolean":
		return true
	case "array":
		return []any{d.sample(s.Items)}
	}
	o := make(map[string]any)
	for name, p := range s.Properties {
		o[name] = d.sample(p)
	}
	return o
}

// spoiled are bodies that do not fit a schema, made of one that does.
func (d *openAPIDoc) spoiled(s *schema) map[string]string {
	all := map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "a word": `"x"`, "a number": "7", "half": "{", "two": "{}{}", "no UTF-8": "{\"\xff\":1}", "deep": strings.Repeat("[", 100_000),
		"huge": `{"x":"` + strings.Repeat("x", 1<<20) + `"}`,
	}
	whole, ok := d.sample(s).(map[string]any)
	if !ok {
		return all
	}
	write := func(name string, change func(map[string]any)) {
		o := maps.Clone(whole)
		change(o)
		b, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		all[name] = string(b)
	}
	write("unknown", func(o map[string]any) { o["urgnt"] = true })
	for name := range whole {
		for kind, v := range map[string]any{"null": nil, "a list of lists": []any{[]any{}}, "a number": -1.5, "a truth": false, "an object": map[string]any{"x": map[string]any{}}, "a word": "x"} {
			write(name+" is "+kind, func(o map[string]any) { o[name] = v })
		}
		write("without "+name, func(o map[string]any) { delete(o, name) })
	}
	return all
}

// TestOpenAPIBodies posts to every operation what its schema does not allow: each
// is refused with words, and none fails the node.
func TestOpenAPIBodies(t *testing.T) {
	s, n := newServer(t, func(c *web.Config) { c.Settings = newBook() })
	d := open(t, s, os.Getuid(), socket)
	var doc openAPIDoc
	if err := json.Unmarshal([]byte(d.do("GET", "/v1/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	all := doc.bodies(t)
	if len(all) < 15 {
		t.Errorf("%d operations take a body", len(all))
	}
	client := &http.Client{}
	asked := 0
	for _, op := range all {
		for what, body := range doc.spoiled(op.schema) {
			var v any
			fits := json.Unmarshal([]byte(body), &v) == nil && len(doc.check(op.schema, v, "body")) == 0
			a := d.with(client, "POST", op.path, body, "Content-Type: application/json")
			asked++
			if a.status >= 500 || op.wants && !fits && a.status < 400 {
				t.Errorf("%s with %s: %d %.200s", op.name, what, a.status, a.body)
			}
			if a.status < 400 {
				continue
			}
			var told any
			if err := json.Unmarshal([]byte(a.body), &told); err != nil {
				t.Errorf("%s with %s: %d %.200s", op.name, what, a.status, a.body)
				continue
			}
			for _, fault := range doc.check(&schema{Ref: "#/components/schemas/Error"}, told, "answer") {
				t.Errorf("%s with %s: %s", op.name, what, fault)
			}
		}
	}
	if asked < 300 {
		t.Errorf("%d bodies were tried", asked)
	}
	n.Fail(mesh.ErrDuplicate)
	if a := d.do("POST", "/v1/topics/commons/messages", "again", "Content-Type: text/plain"); a.status != http.StatusTooManyRequests {
		t.Errorf("words that were said just now: %d %s", a.status, a.body)
	}
}

// inTime is a recorder to which a server may set deadlines.
type inTime struct{ *httptest.ResponseRecorder }

func (*inTime) SetReadDeadline(time.Time) error  { return nil }
func (*inTime) SetWriteDeadline(time.Time) error { return nil }

// FuzzBodies posts anything to every operation: what is no such body as the
// document describes is refused, with words, and nothing fails the node.
func FuzzBodies(f *testing.F) {
	s, _ := newServer(f, func(c *web.Config) { c.Settings = newBook() })
	h := s.As(os.Getuid(), socket)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/openapi.json", nil))
	var doc openAPIDoc
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		f.Fatal(err)
	}
	all := doc.bodies(f)
	for i, op := range all {
		b, err := json.Marshal(doc.sample(op.schema))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), []byte(`{"text":"x","to":["x"],"op":"admit","who":"x","ttl_ms":9e99}`))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		op := all[int(which)%len(all)]
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "POST", op.path, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := &inTime{httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		if ctx.Err() != nil {
			return // it waited for a reader
		}
		var v any
		fits := json.Unmarshal(body, &v) == nil && len(doc.check(op.schema, v, "body")) == 0
		if w.Code >= 500 || op.wants && !fits && w.Code < 400 {
			t.Fatalf("%s with %q: %d %s", op.name, body, w.Code, w.Body)
		}
		var told struct{ Error web.Problem }
		if w.Code >= 400 && (json.Unmarshal(w.Body.Bytes(), &told) != nil || told.Error.What == "") {
			t.Fatalf("%s with %q: %d without words: %s", op.name, body, w.Code, w.Body)
		}
	})
}
