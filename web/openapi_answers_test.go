package web_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"drey/web"
)

// A schema is as much of JSON Schema as openapi.json uses.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       any                `json:"type"` // a name or several
	Const      any                `json:"const"`
	Enum       []any              `json:"enum"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Additional any                `json:"additionalProperties"`
	AllOf      []*schema          `json:"allOf"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
}

type openAPIDoc struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]*schema `json:"schemas"`
	} `json:"components"`
}

// An operation is what the document says of one method at one path.
type operation struct {
	Body struct {
		Content map[string]struct {
			Schema *schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]struct {
			Schema *schema `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

// check returns what is wrong with a value, by its place.
func (d *openAPIDoc) check(s *schema, v any, at string) (faults []string) {
	return d.checkPart(s, v, at, false)
}

// checkPart is check for what may be a part of a whole, which the other parts
// describe too.
func (d *openAPIDoc) checkPart(s *schema, v any, at string, part bool) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, at+": "+fmt.Sprintf(format, args...)) }
	if s == nil {
		return nil
	}
	if s.Ref != "" {
		name := strings.TrimPrefix(s.Ref, "#/components/schemas/")
		if d.Components.Schemas[name] == nil {
			fault("there is no schema %s", s.Ref)
			return faults
		}
		return d.checkPart(d.Components.Schemas[name], v, at, part)
	}
	for _, all := range s.AllOf {
		faults = append(faults, d.checkPart(all, v, at, true)...)
	}
	if some := slices.Concat(s.AnyOf, s.OneOf); len(some) > 0 && !slices.ContainsFunc(some, func(x *schema) bool { return len(d.check(x, v, at)) == 0 }) {
		fault("%v fits none of %d schemas", v, len(some))
	}
	if s.Const != nil && s.Const != v {
		fault("%v, want %v", v, s.Const)
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		fault("%v is not one of %v", v, s.Enum)
	}
	if s.Type != nil && !isType(s.Type, v) {
		fault("%v (%T) is not of type %v", v, v, s.Type)
		return faults
	}
	if o, ok := v.(map[string]any); ok && (s.Properties != nil || s.Required != nil) {
		for _, r := range s.Required {
			if _, has := o[r]; !has {
				fault("lacks %q", r)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if p := s.Properties[name]; p != nil {
				faults = append(faults, d.check(p, o[name], at+"."+name)...)
			} else if s.Additional == nil && len(s.AllOf) == 0 && !part {
				fault("%q is not described", name)
			}
		}
	}
	if list, ok := v.([]any); ok {
		for i, x := range list {
			faults = append(faults, d.check(s.Items, x, fmt.Sprintf("%s[%d]", at, i))...)
		}
	}
	return faults
}

func isType(want, v any) bool {
	if names, several := want.([]any); several {
		return slices.ContainsFunc(names, func(n any) bool { return isType(n, v) })
	}
	switch x := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case float64:
		return want == "number" || want == "integer" && x == float64(int64(x))
	case []any:
		return want == "array"
	}
	return want == "object"
}

// TestOpenAPIAnswers asks every route that can be asked, and holds each answer
// to its schema, errors included.
func TestOpenAPIAnswers(t *testing.T) {
	s, n := newServer(t, func(c *web.Config) { c.Settings = newBook() })
	n.Carriers("ready", "up")
	d, guest := open(t, s, os.Getuid(), socket), open(t, s, -1, lan)
	var doc openAPIDoc
	if err := json.Unmarshal([]byte(d.do("GET", "/v1/openapi.json", "").body), &doc); err != nil {
		t.Fatal(err)
	}
	jsonType := "Content-Type: application/json"
	posted := d.do("POST", "/v1/topics/commons/messages", `{"text":"hello"}`, jsonType)
	var receipt struct{ ID string }
	if err := json.Unmarshal([]byte(posted.body), &receipt); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	ask := func(method, path, address, body string) {
		t.Helper()
		asked[method+" "+path] = true
		var op operation
		if err := json.Unmarshal(doc.Paths[path][strings.ToLower(method)], &op); err != nil {
			t.Errorf("%s %s is not described: %v", method, path, err)
			return
		}
		for who, door := range map[string]*door{"admin": d, "guest": guest} {
			a := door.do(method, address, body, jsonType)
			response, ok := op.Responses[fmt.Sprint(a.status)]
			if !ok {
				response, ok = op.Responses["default"]
			}
			if !ok {
				t.Errorf("%s %s as %s: %d is not described", method, path, who, a.status)
				continue
			}
			if who == "admin" && a.status >= 300 {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
			kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
			content, ok := response.Content[kind]
			if !ok {
				if len(response.Content) > 0 {
					t.Errorf("%s %s as %s answers %s, described is %v", method, path, who, kind, slices.Sorted(maps.Keys(response.Content)))
				}
				continue
			}
			for i, line := range strings.Split(strings.TrimSpace(a.body), "\n") {
				var v any
				if kind != "application/json" && kind != "application/x-ndjson" || line == "" {
					break
				}
				if err := json.Unmarshal([]byte(line), &v); err != nil {
					t.Errorf("%s %s as %s: line %d: %v", method, path, who, i, err)
					continue
				}
				for _, fault := range doc.check(content.Schema, v, "answer") {
					t.Errorf("%s %s as %s (%d): %s", method, path, who, a.status, fault)
				}
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		if _, ok := doc.Paths[path]["get"]; !ok || path == "/v1/openapi.json" || strings.HasSuffix(path, "/file") {
			continue
		}
		address := strings.NewReplacer("{topic}", "commons", "{id}", receipt.ID, "{rest}", "commons").Replace(path)
		if path == "/v1/preview" {
			address += "?topic=commons&bytes=12"
		}
		ask("GET", path, address, "")
	}
	for _, c := range []struct{ method, path, address, body string }{
		{"POST", "/v1/topics/{topic}/messages", "/v1/topics/commons/messages", `{"text":"again"}`},
		{"POST", "/v1/peers", "/v1/peers", `{"uri":"tls://192.0.2.9:1"}`},
		{"POST", "/v1/peers/ping", "/v1/peers/ping", `{"peer":"x"}`},
		{"DELETE", "/v1/peers", "/v1/peers?uri=tls://192.0.2.9:1", ""},
		{"POST", "/v1/radio/messages", "/v1/radio/messages", `{"to":"Maria","text":"hello"}`},
		{"POST", "/v1/radio/test", "/v1/radio/test", ""},
		{"POST", "/v1/radio/setup", "/v1/radio/setup", `{"region":"US"}`},
		{"POST", "/v1/invites", "/v1/invites", `{}`},
		{"POST", "/v1/join", "/v1/join", `{"invite":"x"}`},
		{"POST", "/v1/settings", "/v1/settings", `{"set":{"log.level":"info"},"preview":true}`},
		{"DELETE", "/v1/sessions", "/v1/sessions?id=all", ""},
	} {
		ask(c.method, c.path, c.address, c.body)
	}
	if len(asked) < 28 {
		t.Errorf("%d routes were asked", len(asked))
	}
}

// TestSchemaCheckFindsFaults holds the judge to faults of each kind.
func TestSchemaCheckFindsFaults(t *testing.T) {
	var doc openAPIDoc
	if err := json.Unmarshal([]byte(`{"components":{"schemas":{"X":{"type":"object","properties":{"v":{"const":1},"n":{"type":"integer"},"l":{"type":"array","items":{"enum":["a"]}}},"required":["v"]}}}}`), &doc); err != nil {
		t.Fatal(err)
	}
	for body, faulty := range map[string]bool{
		`{"v":1}`: false, `{"v":1,"n":3,"l":["a"]}`: false,
		`{}`: true, `{"v":2}`: true, `{"v":1,"n":1.5}`: true, `{"v":1,"l":["b"]}`: true, `{"v":1,"x":0}`: true, `[]`: true, `null`: true,
	} {
		var v any
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Fatal(err)
		}
		if got := doc.check(&schema{Ref: "#/components/schemas/X"}, v, "answer"); (len(got) > 0) != faulty {
			t.Errorf("%s: %v", body, got)
		}
	}
}
