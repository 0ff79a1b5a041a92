package relay

import (
	"fmt"
	"strings"
	"testing"

	"drey/mesh"
)

// The prefixes of NIP-01 and NIP-42; every refusal has one of them.
var prefixes = []string{"invalid: ", "blocked: ", "rate-limited: ", "restricted: ", "auth-required: ", "duplicate: ", "error: "}

func prefixed(why string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(why, p) && len(why) > len(p) {
			return true
		}
	}
	return false
}

// One event has one spelling here: whatever else carries its id is refused or is
// the same event, and what is read back is what was signed.
func TestMalleableEvents(t *testing.T) {
	w := newDiskWorld(t, nil)
	c := w.connectAs(t, "ana")
	e := note("ana", "one \"spelling\" / \u2028")
	text := string(e.AppendJSON(nil))
	c.posted(e)
	field := func(name, value string) string {
		i := strings.Index(text, `"`+name+`":`) + len(name) + 3
		end := i + strings.IndexAny(text[i:], ",}")
		if text[i] == '"' {
			end = i + 1 + strings.IndexByte(text[i+1:], '"') + 1
		}
		return text[:i] + value + text[end:]
	}
	order := "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141" // of the group
	for _, x := range []struct{ name, event, want string }{
		{"spaces", strings.ReplaceAll(text, `,"`, ` , "`), "true duplicate: it is here already"},
		{"escapes", strings.Replace(text, "one", `\u006fne`, 1), "true duplicate: it is here already"},
		{"escaped slash", strings.Replace(text, "/", `\/`, 1), "true duplicate: it is here already"},
		{"a field twice", strings.Replace(text, `{"id"`, `{"content":"another","id"`, 1), "true duplicate: it is here already"},
		{"a field twice, the wrong one last", text[:len(text)-1] + `,"content":"another"}`, "false invalid: id"},
		{"names in capitals", strings.Replace(text, `"content"`, `"CONTENT"`, 1), ""},
		{"signature of zeros", field("sig", `"`+strings.Repeat("0", 128)+`"`), ""},
		{"s is the order", field("sig", `"`+e.Sig().String()[:64]+order+`"`), ""},
		{"r beyond the field", field("sig", `"`+strings.Repeat("f", 64)+e.Sig().String()[64:]+`"`), ""},
		{"short signature", field("sig", `"`+e.Sig().String()[:126]+`"`), "false invalid: sig"},
		{"key beyond the field", field("pubkey", `"`+strings.Repeat("f", 64)+`"`), "false invalid: "},
		{"key of zeros", field("pubkey", `"`+strings.Repeat("0", 64)+`"`), "false invalid: "},
		{"date as a fraction", field("created_at", fmt.Sprintf("%d.0", e.CreatedAt())), ""},
		{"date beyond 2106", field("created_at", "4294967296"), "false invalid: created_at"},
		{"kind beyond 65535", field("kind", "65537"), "false invalid: kind"},
		{"tag in a tag", strings.Replace(text, `"tags":[]`, `"tags":[[["t"]]]`, 1), "false invalid: "},
		{"tag null", strings.Replace(text, `"tags":[]`, `"tags":[null]`, 1), "false invalid: "},
		{"tags null", strings.Replace(text, `"tags":[]`, `"tags":null`, 1), "false invalid: "},
		{"half a surrogate", strings.Replace(text, "one", `\ud800`, 1), "false invalid: "},
		{"a list in place of the event", `[` + text + `]`, "NOTICE invalid: "},
		{"a text in place of the event", `"x"`, "NOTICE invalid: "},
	} {
		got := words(c.ask(`["EVENT",` + x.event + `]`))
		got = strings.TrimPrefix(got, "OK "+e.ID().String()+" ")
		if !strings.HasPrefix(got, x.want) || strings.HasPrefix(got, "true ") && !strings.HasPrefix(got, "true duplicate: ") {
			t.Errorf("%s: answered %s, want %s", x.name, got, x.want)
		}
		if why, no := strings.CutPrefix(got, "false "); no && !prefixed(why) {
			t.Errorf("%s: %s has no prefix", x.name, why)
		}
	}
	c.send(`["REQ","s",{"ids":["` + e.ID().String() + `"]}]`)
	if m := c.next(); m[0] != "EVENT" || m[2].(map[string]any)["sig"] != e.Sig().String() || m[2].(map[string]any)["content"] != e.Content() {
		t.Errorf("read back: %v", m)
	}
}

// What a tester throws at a relay that it has never seen: messages that are
// deep, long or odd. Each is answered or ends its own connection, and a
// neighbour is served all the while.
func TestOddMessages(t *testing.T) {
	w := newDiskWorld(t, nil)
	good := w.connectAs(t, "ana")
	long := strings.Repeat("x", 60_000)
	tags := func(n int, tag string) string { return strings.Repeat(tag+",", n-1) + tag }
	filters := func(n int, f string) string { return strings.Repeat(","+f, n) }
	draft := func(d mesh.Draft) string {
		d.CreatedAt = now()
		return `["EVENT",` + string(sign(key("ana"), d).AppendJSON(nil)) + `]`
	}
	var hundred [][]string
	for i := range mesh.MaxTags {
		hundred = append(hundred, []string{"t", fmt.Sprint("bomb ", i)})
	}
	for _, c := range []struct{ name, say, want string }{
		{"deep", strings.Repeat("[", 100_000), "NOTICE invalid: "},
		{"deep in a filter", `["REQ","x",{"#t":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}]`, "CLOSED x invalid: "},
		{"deep in an event", `["EVENT",{"tags":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}]`, "NOTICE invalid: "},
		{"long name of a filter's field", `["REQ","x",{"` + long + `":1}]`, "EOSE x"},
		{"long name of a tag", `["REQ","x",{"#` + long + `":[]}]`, "CLOSED x invalid: filter 1: #xxxxxx"},
		{"long value", `["REQ","x",{"#t":["` + long + `"]}]`, "EOSE x"},
		{"long verb", `["` + long + `"]`, "NOTICE invalid: "},
		{"name of signs", `["REQ","\u0007\u202e\"\\",{"limit":0}]`, "EOSE \u0007\u202e\"\\"},
		{"number too large", `["REQ","x",{"limit":1e999}]`, "CLOSED x invalid: filter 1: limit"},
		{"limit too large", `["REQ","x",{"kinds":[9],"limit":99999999999}]`, "EOSE x"},
		{"no limit left", `["REQ","x",{"limit":-9223372036854775808}]`, "CLOSED x invalid: filter 1: limit"},
		{"sixteen filters", `["REQ","x"` + filters(16, `{"kinds":[9]}`) + `]`, "EOSE x"},
		{"seventeen filters", `["REQ","x"` + filters(17, `{"kinds":[9]}`) + `]`, "CLOSED x invalid: more than 16 filters"},
		{"heavy filters", `["REQ","x"` + filters(16, `{"authors":["`+strings.Repeat(keyHex("ana")+`","`, 200)+keyHex("ben")+`"]}`) + `]`, "EOSE x"},
		{"a hundred tags", draft(mesh.Draft{Kind: 1, Tags: hundred, Content: "bomb"}), "true"},
		{"a hundred and one", draft(mesh.Draft{Kind: 1, Tags: hundred[:1], Content: "x"})[:0] + `["EVENT",{"id":"` + strings.Repeat("a", 64) + `","pubkey":"` + keyHex("ana") + `","created_at":1,"kind":1,"tags":[` + tags(101, `["t"]`) + `],"content":"","sig":"` + strings.Repeat("a", 128) + `"}]`, "false invalid: 101 tags, limit 100"},
		{"many items in a tag", `["EVENT",{"id":"` + strings.Repeat("a", 64) + `","pubkey":"` + keyHex("ana") + `","created_at":1,"kind":1,"tags":[[` + tags(201, `"t"`) + `]],"content":"","sig":"` + strings.Repeat("a", 128) + `"}]`, "false invalid: tag 0 has 201 items, limit 200"},
		{"d without a value", draft(mesh.Draft{Kind: 30023, Tags: [][]string{{"d"}}, Content: "no value"}), "true"},
		{"an empty tag", draft(mesh.Draft{Kind: 1, Tags: [][]string{{}}, Content: "empty tag"}), "true"},
		{"a deletion of everything", draft(mesh.Draft{Kind: 5, Tags: [][]string{{"e"}, {"a"}, {"a", "::"}, {"e", "x"}, {"a", "0:" + keyHex("ana") + ":"}}}), "true"},
		{"counting a heavy filter", `["COUNT","x",{"kinds":[1],"#t":["bomb 1"]}]`, "map[count:1]"},
		{"text after the end", `["CLOSE","x"]]`, "NOTICE invalid: something follows the array"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := w.connect(t)
			if got := words(cl.ask(c.say)); !strings.Contains(got, c.want) || len(got) > 400 {
				t.Errorf("answered %.300s, want %s", got, c.want)
			}
			good.find(`{"limit":1}`)
		})
	}
}

// Everybody in a household has an allowance of their own behind one address; a
// connection that asks or posts too much is told so, and only it.
func TestHouseholdIsNotThrottled(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		still(c)
		c.Limits.AskBurst, c.Limits.GuestBurst = 5, 3
	})
	noisy := w.connect(t)
	refused := ""
	for i := 0; refused == "" && i < 20; i++ {
		if ok, why := noisy.post(note("carl", fmt.Sprint(i))); !ok {
			refused = why
		}
	}
	if !strings.HasPrefix(refused, "rate-limited: ") {
		t.Errorf("the noisy one was told %q", refused)
	}
	for i := range 12 {
		c := w.connect(t)
		c.posted(note(fmt.Sprint("neighbour ", i), "hello"))
		if got := c.find(`{"kinds":[9]}`); len(got) != 0 {
			t.Errorf("neighbour %d found %q", i, got)
		}
	}
}
