package web

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"drey/mesh"
)

type apiDoc struct {
	OpenAPI string                                `json:"openapi"`
	Paths   map[string]map[string]json.RawMessage `json:"paths"`
	Parts   struct {
		Schemas map[string]map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
}

func readDoc(t *testing.T) apiDoc {
	t.Helper()
	var doc apiDoc
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPIListsEveryRoute(t *testing.T) {
	doc := readDoc(t)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi = %q", doc.OpenAPI)
	}
	written := map[string]string{} // operation to scope
	for path, ops := range doc.Paths {
		for method, raw := range ops {
			if method == "parameters" {
				continue
			}
			var op struct {
				Scope     string                     `json:"x-scope"`
				Responses map[string]json.RawMessage `json:"responses"`
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				t.Fatal(err)
			}
			written[strings.ToUpper(method)+" "+path] = op.Scope
			if op.Responses["default"] == nil {
				t.Errorf("%s %s does not say how it fails", method, path)
			}
		}
	}
	s := &Server{log: slog.New(slog.DiscardHandler)}
	for _, r := range s.routes() {
		path := r.path
		if path == viewPath {
			continue
		}
		if path == "" {
			path = r.pattern
		}
		name := r.method + " " + path
		if got, ok := written[name]; !ok || got != r.least.String() {
			t.Errorf("%s: openapi.json says scope %q, the server %q", name, got, r.least)
		}
		delete(written, name)
	}
	for name := range written {
		t.Errorf("%s is described but not served", name)
	}
}

// TestOpenAPIDescribesEveryField compares the schemas with the Go types whose
// JSON they describe.
func TestOpenAPIDescribesEveryField(t *testing.T) {
	doc := readDoc(t)
	for name, v := range map[string]any{
		"Problem": Problem{}, "Error": errorBody{}, "Receipt": Receipt{}, "Step": stepBody{}, "Imported": Imported{}, "Peer": PeerStatus{},
		"PeerRecords": PeerRecords{}, "PeersImported": PeersImported{}, "Finding": FindingStatus{}, "Finder": FinderStatus{},
		"Member": Member{}, "MemberChange": MemberChange{}, "MemberChanged": MemberChanged{}, "Invite": Invite{}, "Joined": Joined{}, "Check": Check{}, "Community": CommunityStatus{}, "Airtime": AirtimeStatus{},
		"Radio": RadioStatus{}, "RadioNode": RadioNode{}, "RadioDay": RadioDay{}, "RadioSlot": RadioSlot{}, "IssuedInvite": IssuedInvite{}, "RadioPlace": RadioPlace{}, "RadioMessage": RadioMessage{}, "RadioTest": RadioTest{},
		"Pairing": Pairing{}, "Session": Session{}, "TLS": TLSStatus{}, "Setting": Setting{}, "Section": Section{}, "SettingsList": SettingsList{}, "SettingsChanged": SettingsChanged{}, "SettingDifference": SettingDifference{},
		"RadioPlan": RadioPlan{}, "RadioShare": RadioShare{}, "RadioChannel": RadioChannel{}, "AirtimeShare": AirtimeShare{}, "Relay": RelayStatus{}, "RelayTest": RelayTest{}, "RelayStep": RelayStep{}, "Nostr": NostrStatus{}, "Status": Status{}, "MailStatus": MailStatus{}, "MailPost": MailPost{}, "MailFile": MailFile{}, "MailMessage": MailMessage{}, "MailReader": MailReader{}, "Preview": Preview{}, "AirCost": AirCost{},
	} {
		var schema struct {
			Properties map[string]json.RawMessage `json:"properties"`
			Required   []string                   `json:"required"`
		}
		whole, _ := json.Marshal(doc.Parts.Schemas[name])
		if err := json.Unmarshal(whole, &schema); err != nil {
			t.Fatal(err)
		}
		all, required := jsonFields(reflect.TypeOf(v))
		described := make([]string, 0, len(schema.Properties))
		for p := range schema.Properties {
			described = append(described, p)
		}
		slices.Sort(described)
		slices.Sort(schema.Required)
		if !slices.Equal(described, all) {
			t.Errorf("schema %s has the properties %v, the type %v", name, described, all)
		}
		if !slices.Equal(schema.Required, required) {
			t.Errorf("schema %s requires %v, the type always has %v", name, schema.Required, required)
		}
	}
}

func jsonFields(t reflect.Type) (all, always []string) {
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		all = append(all, name)
		if options != "omitempty" {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

// TestOpenAPIReferences follows every $ref.
func TestOpenAPIReferences(t *testing.T) {
	doc := readDoc(t)
	for _, part := range strings.Split(string(openAPI), `"$ref": "`)[1:] {
		ref, _, _ := strings.Cut(part, `"`)
		name, ok := strings.CutPrefix(ref, "#/components/schemas/")
		if !ok || doc.Parts.Schemas[name] == nil {
			t.Errorf("reference %s leads nowhere", ref)
		}
	}
}

// TestOpenAPINamesEveryParameter compares what the query parser takes with
// what is described.
func TestOpenAPINamesEveryParameter(t *testing.T) {
	doc := readDoc(t)
	for _, c := range []struct {
		path   string
		method string
		want   []string
	}{
		{"/v1/events", "get", []string{"Last-Event-ID", "after", "author", "follow", "form", "kind", "limit", "since", "topic"}},
		{"/v1/topics/{topic}/messages", "post", []string{"Idempotency-Key", "name", "reply_to", "timeout", "urgent", "wait"}},
	} {
		var op struct {
			Parameters []struct {
				Name string `json:"name"`
				In   string `json:"in"`
			} `json:"parameters"`
		}
		if err := json.Unmarshal(doc.Paths[c.path][c.method], &op); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range op.Parameters {
			got = append(got, p.Name)
			if c.method == "get" && p.In == "query" {
				v := map[string][]string{p.Name: {sample(p.Name)}}
				if _, err := parseQuery(v, testTime); err != nil {
					t.Errorf("parameter %s is described but refused: %v", p.Name, err)
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s has the parameters %v, want %v", c.method, c.path, got, c.want)
		}
	}
}

func sample(parameter string) string {
	return map[string]string{
		"author": fmt.Sprint(mesh.PubKey{}), "follow": "1", "form": "record", "after": "1", "kind": "1", "limit": "1", "since": "1h", "topic": "alerts",
	}[parameter]
}
