package mail

import (
	"strings"
	"testing"

	"drey/mesh"
)

func TestParsePart(t *testing.T) {
	ann := newKey(t, 1)
	sum := strings.Repeat("0a", 32)
	good := []string{"bundle", sum, "0", "1", "3"}
	for _, c := range []struct {
		name    string
		tags    [][]string
		content string
		ok      bool
	}{
		{"good", [][]string{good}, "AAEC", true},
		{"no tag", nil, "AAEC", false},
		{"two tags", [][]string{good, good}, "AAEC", false},
		{"a short tag", [][]string{good[:4]}, "AAEC", false},
		{"a part beyond the last", [][]string{{"bundle", sum, "1", "1", "3"}}, "AAEC", false},
		{"no parts", [][]string{{"bundle", sum, "0", "0", "3"}}, "AAEC", false},
		{"more parts than bytes", [][]string{{"bundle", sum, "0", "4", "3"}}, "AAEC", false},
		{"too many parts", [][]string{{"bundle", sum, "0", "65", "65536"}}, "AAEC", false},
		{"too large", [][]string{{"bundle", sum, "0", "4", "65537"}}, "AAEC", false},
		{"numbers with zeros before", [][]string{{"bundle", sum, "00", "1", "3"}}, "AAEC", false},
		{"a sum in capitals", [][]string{{"bundle", strings.ToUpper(sum), "0", "1", "3"}}, "AAEC", false},
		{"a name with a path", [][]string{good, {"name", "../.ssh/authorized_keys"}}, "AAEC", false},
		{"no base64", [][]string{good}, "AA\nEC", false},
		{"nothing", [][]string{good}, "", false},
	} {
		_, err := parsePart(newRumor(t, ann, mesh.Draft{Kind: mesh.KindBundle, Tags: c.tags, Content: c.content}))
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, want it taken: %v", c.name, err, c.ok)
		}
	}
}

func FuzzParsePart(f *testing.F) {
	ann := newKey(f, 1)
	f.Add("bundle", strings.Repeat("0a", 32), "0", "1", "3", "map.bin", "AAEC")
	f.Add("bundle", "", "-1", "9999999999999999999", "", "..", "A")
	f.Fuzz(func(t *testing.T, tag, sum, part, parts, size, name, content string) {
		r, err := mesh.NewRumor(ann.PubKey(), mesh.Draft{Kind: mesh.KindBundle, Tags: [][]string{{tag, sum, part, parts, size}, {"name", name}}, Content: content})
		if err != nil {
			return
		}
		p, err := parsePart(r)
		if err != nil {
			return
		}
		if p.part < 0 || p.part >= p.parts || p.size > MaxBundle || len(p.content) > MaxBundle || strings.ContainsAny(p.name, `/\`) {
			t.Errorf("taken as %+v", p)
		}
	})
}
