package draw

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A Day is what a radio measured in 24 hours, drawn as three small charts above
// one axis of time: how busy the channel was, how long this gateway was on the
// air, and how strongly it heard others.
type Day struct {
	Title, Desc string
	Slots       []Slot  // of equal length, the oldest first; they end now
	Legal       float64 // of each hour that the law leaves, 0 to 1; 0 means no limit
	Custom      float64 // of each hour that the node allows itself; 0 means no limit
	Stop        float64 // use of the channel from which the node is silent
	Words       DayWords
}

// A Slot is one measurement.
type Slot struct {
	Use float64 // of the channel, 0 to 1; negative where it was not measured
	Air float64 // of the slot's time that this gateway sent, 0 to 1
	SNR float64 // decibels; NaN where nothing was heard
}

// DayWords are the words in the picture.
type DayWords struct {
	Use, Air, Signal           string             // the headings
	Stop, Legal, Custom, Empty string             // beside the lines; where there is nothing to draw
	Before                     func(h int) string // "6 h ago"; 0 is now
}

// Measures of the picture, in its own units.
const (
	dayWidth   = 360
	dayLeft    = 46.0 // of the plots
	dayRight   = 352.0
	plotHeight = 68.0
	plotGap    = 44.0 // between plots, for a heading
	dayTop     = 28.0
	dayHead    = 4.0  // where headings begin
	daySize    = 13.0 // of their letters
	dayHeight  = 344
)

// Draw makes the picture.
func (d Day) Draw() template.HTML {
	var p pen
	p.open("draw air", "air", dayWidth, dayHeight, d.Title, d.Desc)
	top := dayTop
	d.share(&p, top, d.Words.Use, "use", d.used(), usual, mark{d.Stop, d.Words.Stop, "stop"})
	top += plotHeight + plotGap
	d.share(&p, top, d.Words.Air, "spent", d.hourly(), scarce, mark{d.Legal, d.Words.Legal, "legal"}, mark{d.Custom, d.Words.Custom, "custom"})
	top += plotHeight + plotGap
	d.signal(&p, top)
	d.hours(&p, top+plotHeight)
	return p.close()
}

// Scales of shares: the first that holds everything is taken.
var (
	usual  = []float64{0.3, 0.5, 1}
	scarce = []float64{0.005, 0.01, 0.02, 0.05, 0.12, 0.3, 0.5, 1}
)

// A mark is a limit that is drawn across a plot; at 0 there is none.
type mark struct {
	at    float64
	words string
	class string
}

func (d Day) used() []float64 {
	v := make([]float64, len(d.Slots))
	for i, s := range d.Slots {
		v[i] = math.NaN()
		if s.Use >= 0 {
			v[i] = min(s.Use, 1)
		}
	}
	return v
}

// hourly returns the share of air of the hour that ends with each slot, as the
// limits are meant; of the first hour the part that is known.
func (d Day) hourly() []float64 {
	hour := max(len(d.Slots)/24, 1)
	v := make([]float64, len(d.Slots))
	for i := range d.Slots {
		for _, s := range d.Slots[max(0, i-hour+1) : i+1] {
			v[i] += min(max(s.Air, 0), 1) / float64(hour)
		}
	}
	return v
}

// share draws a plot of shares of time.
func (d Day) share(p *pen, top float64, heading, class string, values, scales []float64, marks ...mark) {
	most, any := 0.0, false
	for _, v := range values {
		if !math.IsNaN(v) {
			most, any = max(most, v), true
		}
	}
	for _, m := range marks {
		most = max(most, m.at*1.02)
	}
	scale := scales[len(scales)-1]
	for _, s := range scales {
		if s >= most {
			scale = s
			break
		}
	}
	p.text("title", "start", dayHead, top-10, fit(heading, daySize, dayRight-dayHead))
	frame(p, top, Percent(scale), Percent(0))
	y := func(v float64) float64 { return top + plotHeight*(1-v/scale) }
	if !any {
		p.text("remark", "middle", (dayLeft+dayRight)/2, top+plotHeight/2+4, d.Words.Empty)
	} else {
		p.line(`<path class="%s area" d="%s"/>`, class, d.area(values, y, top+plotHeight))
		p.line(`<path class="%s" d="%s"/>`, class, d.stroke(values, y))
	}
	last := math.Inf(-1)
	for _, m := range marks {
		if m.at <= 0 || m.at >= 1 {
			continue
		}
		p.line(`<path class="mark %s" d="M%s %sH%s"/>`, m.class, num(dayLeft), num(y(m.at)), num(dayRight))
		at := y(m.at) - 3
		if math.Abs(at-last) < letter {
			at = last + letter + 4
		}
		last = at
		p.text("remark "+m.class, "end", dayRight-2, at, m.words)
	}
}

// signal draws how strongly others were heard.
func (d Day) signal(p *pen, top float64) {
	const least, most = -20.0, 12.0
	p.text("title", "start", dayHead, top-10, fit(d.Words.Signal, daySize, dayRight-dayHead))
	frame(p, top, "+12 dB", "−20 dB")
	y := func(v float64) float64 { return top + plotHeight*(most-min(max(v, least), most))/(most-least) }
	p.line(`<path class="grid" d="M%s %sH%s"/>`, num(dayLeft), num(y(0)), num(dayRight))
	var dots strings.Builder
	for i, s := range d.Slots {
		if !math.IsNaN(s.SNR) {
			fmt.Fprintf(&dots, "M%s %sh0", num((d.x(i)+d.x(i+1))/2), num(y(s.SNR)))
		}
	}
	if dots.Len() == 0 {
		p.text("remark", "middle", (dayLeft+dayRight)/2, top+plotHeight/2+4, d.Words.Empty)
		return
	}
	p.line(`<path class="dots" d="%s"/>`, dots.String())
}

// hours draws the axis of time.
func (d Day) hours(p *pen, bottom float64) {
	for h := 24; h >= 0; h -= 6 {
		x := dayRight - float64(h)/24*(dayRight-dayLeft)
		p.line(`<path class="tick" d="M%s %sv4"/>`, num(x), num(bottom))
		if h%12 != 0 {
			continue
		}
		anchor := "middle"
		switch h {
		case 24:
			anchor = "start"
		case 0:
			anchor = "end"
		}
		p.text("axis", anchor, x, bottom+16, d.Words.Before(h))
	}
}

// frame draws the ground of a plot and the ends of its scale.
func frame(p *pen, top float64, high, low string) {
	p.line(`<rect class="ground" x="%s" y="%s" width="%s" height="%s"/>`, num(dayLeft), num(top), num(dayRight-dayLeft), num(plotHeight))
	p.text("axis", "end", dayLeft-4, top+10, high)
	p.text("axis", "end", dayLeft-4, top+plotHeight, low)
}

// Percent writes a share, 0 to 1, as people read it.
func Percent(v float64) string { return num(100*v) + " %" }

// x returns where slot i begins.
func (d Day) x(i int) float64 {
	return dayLeft + (dayRight-dayLeft)*float64(i)/float64(max(len(d.Slots), 1))
}

// stroke makes the upper edge of a series, as steps; gaps stay gaps.
func (d Day) stroke(values []float64, y func(float64) float64) string {
	var b strings.Builder
	drawn := math.NaN()
	for i, v := range values {
		switch {
		case math.IsNaN(v):
			drawn = v
			continue
		case math.IsNaN(drawn):
			fmt.Fprintf(&b, "M%s %s", num(d.x(i)), num(y(v)))
		case v != drawn:
			fmt.Fprintf(&b, "V%s", num(y(v)))
		}
		drawn = v
		if i+1 == len(values) || values[i+1] != v {
			fmt.Fprintf(&b, "H%s", num(d.x(i+1)))
		}
	}
	return b.String()
}

// area makes the surface below a series.
func (d Day) area(values []float64, y func(float64) float64, bottom float64) string {
	var b strings.Builder
	for i := 0; i < len(values); i++ {
		if math.IsNaN(values[i]) || values[i] == 0 {
			continue
		}
		fmt.Fprintf(&b, "M%s %s", num(d.x(i)), num(bottom))
		for ; i < len(values) && !math.IsNaN(values[i]) && values[i] != 0; i++ {
			if i > 0 && values[i] == values[i-1] && i+1 < len(values) && values[i+1] == values[i] {
				continue
			}
			fmt.Fprintf(&b, "V%sH%s", num(y(values[i])), num(d.x(i+1)))
		}
		fmt.Fprintf(&b, "V%sz", num(bottom))
	}
	return b.String()
}
