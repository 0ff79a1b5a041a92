package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

var update = flag.Bool("update", false, "write the golden pictures anew")

// golden compares a picture with the one that was looked at.
func golden(t *testing.T, name string, got template.HTML) {
	t.Helper()
	wellFormed(t, got)
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s has changed; look at it, then run with -update\ngot:\n%s", name, got)
	}
}

// wellFormed checks that a picture is XML, names itself, and asks for nothing
// that the page forbids.
func wellFormed(t *testing.T, svg template.HTML) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		if e, ok := tok.(xml.StartElement); ok {
			if e.Name.Local == "script" || e.Name.Local == "style" {
				t.Fatalf("a <%s> in a picture", e.Name.Local)
			}
			for _, a := range e.Attr {
				if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
					t.Fatalf("attribute %s in a picture", a.Name.Local)
				}
			}
		}
	}
	if !strings.Contains(string(svg), `role="img"`) || strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
		t.Errorf("no role, or a place that is no number:\n%s", svg)
	}
}

// town returns a map with n nodes beside this one.
func town(n int) Map {
	m := Map{Title: "Map", Desc: "n nodes", Self: Stop{Name: "Old School", Note: "Oakwood"}}
	kinds := []Kind{Direct, Routed, Transit, Radio, Relay, Away}
	if n == 5 {
		kinds = []Kind{Direct, Radio}
	}
	for i, k := range kinds {
		g := Group{Kind: k, Title: fmt.Sprintf("%s nodes", k)}
		for j := range n {
			if j%len(kinds) == i {
				g.Stops = append(g.Stops, Stop{Name: names[j%len(names)], Note: "12.5 ms · LAN", Down: j%4 == 3 || k == Away})
			}
		}
		m.Groups = append(m.Groups, g)
	}
	return m
}

// names are as long, broad and hostile as names get.
var names = []string{
	"mill", "Café Ñandú on the corner of the long street", "WWWWWWWWWWWWWWWWWWWWWWWW", "مدرسة القرية القديمة", "村の古い学校と図書館と市場",
	`<script>alert("x")</script>`, "\u202eevil\u2066", "!a1b2c3d4", "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii", "", "Школа на горі",
}

// TestMapNothingOverlaps places maps of any size: no node and no word lies on
// another, and everything is inside the picture.
func TestMapNothingOverlaps(t *testing.T) {
	for _, n := range []int{0, 1, 5, 30, 200, 1000} {
		m := town(n)
		l := m.lay()
		all := l.boxes(m.Self)
		if want := 3 + n; len(all) < want {
			t.Errorf("%d nodes: %d boxes, want at least %d", n, len(all), want)
		}
		for i, a := range all {
			if a.x < 0 || a.y < 0 || a.x+a.w > mapWidth || a.y+a.h > l.height {
				t.Errorf("%d nodes: %q at %+v is outside of %v×%v", n, a.what, a.box, mapWidth, l.height)
			}
			for _, b := range all[i+1:] {
				if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
					t.Errorf("%d nodes: %q at %+v overlaps %q at %+v", n, a.what, a.box, b.what, b.box)
				}
			}
			for _, a := range l.lanes {
				for _, b := range all {
					if b.y > headEnd && a.x > b.x && a.x < b.x+b.w {
						t.Fatalf("%d nodes: the line of %s at %v crosses %q at %+v", n, a.kind, a.x, b.what, b.box)
					}
				}
			}
		}
	}
}

// TestMapIsTheSame draws the same map twice.
func TestMapIsTheSame(t *testing.T) {
	if a, b := town(30).Draw(), town(30).Draw(); a != b {
		t.Error("the same nodes gave two pictures")
	}
}

var xs = regexp.MustCompile(`x="([0-9.]+)"`)

// TestMapMirrors checks that every word of the mirrored map stands on the other
// side.
func TestMapMirrors(t *testing.T) {
	m := town(5)
	plain := xs.FindAllStringSubmatch(string(m.Draw()), -1)
	m.Mirror = true
	mirrored := xs.FindAllStringSubmatch(string(m.Draw()), -1)
	if len(plain) != len(mirrored) || len(plain) == 0 {
		t.Fatalf("%d places, mirrored %d", len(plain), len(mirrored))
	}
	for i := range plain {
		a, _ := strconv.ParseFloat(plain[i][1], 64)
		b, _ := strconv.ParseFloat(mirrored[i][1], 64)
		if math.Abs(a+b-mapWidth) > 0.02 {
			t.Errorf("what stands at %v is at %v in the mirror", a, b)
		}
	}
}

func TestGoldenMaps(t *testing.T) {
	golden(t, "map-1.svg", town(0).Draw())
	golden(t, "map-5.svg", town(5).Draw())
	golden(t, "map-30.svg", town(30).Draw())
	wellFormed(t, town(200).Draw())
}

// aDay returns a day with something in every plot.
func aDay() Day {
	d := Day{Title: "The last day", Desc: "three charts", Legal: 0.1, Custom: 0.02, Stop: 0.25, Words: DayWords{
		Use: "Channel in use", Air: "Sent by this node, per hour", Signal: "Signal of others", Stop: "silent above 25 %", Legal: "law: 10 %", Custom: "own limit: 2 %", Empty: "nothing measured",
		Before: func(h int) string { return fmt.Sprintf("%d h ago", h) },
	}}
	for i := range 288 {
		s := Slot{Use: 0.08 + 0.07*math.Sin(float64(i)/20), SNR: math.NaN()}
		if i < 40 || i > 100 && i < 112 {
			s.Use = -1
		}
		if i%5 == 0 {
			s.Air = 0.03
		}
		if i%3 == 0 {
			s.SNR = 6 * math.Sin(float64(i)/30)
		}
		d.Slots = append(d.Slots, s)
	}
	return d
}

func TestGoldenDay(t *testing.T) {
	golden(t, "day.svg", aDay().Draw())
	empty := aDay()
	for i := range empty.Slots {
		empty.Slots[i] = Slot{Use: -1, SNR: math.NaN()}
	}
	golden(t, "day-empty.svg", empty.Draw())
}

// TestDayStaysInside draws days that nobody should measure: every line stays
// within the picture.
func TestDayStaysInside(t *testing.T) {
	numbers := regexp.MustCompile(`[MHV](-?[0-9.]+)`)
	for _, s := range []Slot{{7000, 70, 900}, {-5, -5, -900}, {1, 1, 0}, {0, 0, math.NaN()}} {
		d := aDay()
		for i := range d.Slots {
			d.Slots[i] = s
		}
		svg := d.Draw()
		wellFormed(t, svg)
		for _, m := range numbers.FindAllStringSubmatch(string(svg), -1) {
			if v, err := strconv.ParseFloat(m[1], 64); err != nil || v < 0 || v > dayWidth {
				t.Errorf("%+v: a line goes to %s", s, m[1])
			}
		}
	}
}

// TestHourly checks the sum that the limits are compared with.
func TestHourly(t *testing.T) {
	d := Day{Slots: make([]Slot, 288)}
	for i := range 12 {
		d.Slots[100+i].Air = 0.5
	}
	v := d.hourly()
	if math.Abs(v[111]-0.5) > 1e-9 || math.Abs(v[105]-0.25) > 1e-9 || v[123] > 1e-9 {
		t.Errorf("an hour at half is %v at its end, %v in its middle, %v an hour later; want 0.5, 0.25, 0", v[111], v[105], v[123])
	}
}

// TestQRReadsBack renders the code's path cell by cell and has a reader read it.
func TestQRReadsBack(t *testing.T) {
	for _, text := range []string{"HTTP://192.168.1.10:3739/", "HTTP://192.168.1.10:3739/J/" + strings.Repeat("AEBAGBAF", 14)} {
		svg, err := QR(text, "the page's address")
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, svg)
		var size int
		if _, err := fmt.Sscanf(string(svg[strings.Index(string(svg), "viewBox"):]), `viewBox="0 0 %d`, &size); err != nil {
			t.Fatal(err)
		}
		const scale = 4
		img := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
		for i := range img.Pix {
			img.Pix[i] = 255
		}
		for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1`).FindAllStringSubmatch(string(svg), -1) {
			x, _ := strconv.Atoi(m[1])
			y, _ := strconv.Atoi(m[2])
			w, _ := strconv.Atoi(m[3])
			for px := x * scale; px < (x+w)*scale; px++ {
				for py := y * scale; py < (y+1)*scale; py++ {
					img.SetGray(px, py, color.Gray{})
				}
			}
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		got, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err != nil || got.GetText() != text {
			t.Errorf("%q was read as %v (%v)", text, got, err)
		}
	}
	if _, err := QR(strings.Repeat("x", 4000), ""); err == nil {
		t.Error("4000 bytes fit into a code")
	}
}

// FuzzWords checks that no name breaks a picture or leaves its place.
func FuzzWords(f *testing.F) {
	for _, n := range names {
		f.Add(n, n)
	}
	f.Fuzz(func(t *testing.T, name, note string) {
		if got := fit(name, letter, 100); breadth(got, letter) > 100 {
			t.Errorf("%q cut to %q is too broad", name, got)
		}
		m := Map{Self: Stop{Name: name, Note: note}, Groups: []Group{{Kind: Radio, Title: name, Stops: []Stop{{Name: name, Note: note}}}}}
		wellFormed(t, m.Draw())
	})
}

func BenchmarkMap200(b *testing.B) {
	m := town(200)
	for b.Loop() {
		m.Draw()
	}
}

func BenchmarkDay(b *testing.B) {
	d := aDay()
	for b.Loop() {
		d.Draw()
	}
}
