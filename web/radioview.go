package web

import (
	"html/template"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"drey/web/draw"
	"drey/web/lang"
)

// radioPage is what radio.html shows.
type radioPage struct {
	State   string // "none", "missing", "starting", "on"
	Radio   RadioStatus
	Problem *toldProblem // of the radio; members only
	Use     string       // of the channel now; "–" where it was not measured
	Used    string       // of the airtime allowed, in words
	UsedPct int          // 0 to 100, for a meter
	Legal   string       // what the law allows, as a share
	Paused  string       // why nothing goes out now, in words
	Shares  []shareRow
	Waiting int
	Chart   template.HTML
	Hours   []hourRow
	Heard   []radioRow
	Whole   bool // the caller sees who was heard
}

// A shareRow is one priority's airtime.
type shareRow struct {
	Key     string // below "radio.share-"
	Waiting int
	Next    string // when the next may go, in words; "" for now
	Why     string // in words
	Left    string
}

// An hourRow is one hour of the day, for those who read the chart as a table.
type hourRow struct {
	Ago   string
	Use   string
	Air   string
	Heard int
	SNR   string
}

// stopUse is the use of the channel from which a node is silent; see package
// radio.
const stopUse = 0.25

func (s *Server) getRadioView(w http.ResponseWriter, r *http.Request, c caller) error {
	words := s.languageOf(r)
	l, err := s.look(r.Context(), c)
	if err != nil {
		return err
	}
	st := l.status.Radio
	p := radioPage{Radio: st, State: radioState(st), Whole: c.scope >= ScopeMember}
	if c.scope < ScopeMember {
		p.Radio = l.status.guestView().Radio
	} else if i := slices.IndexFunc(l.status.Problems, func(p Problem) bool { return strings.HasPrefix(p.Code, "radio-") || p.Code == "airtime" }); i >= 0 {
		told := sayProblem(words, l.status.Problems[i])
		p.Problem = &told
	}
	for _, n := range l.radios[:min(len(l.radios), mostRows)] {
		if !n.Self {
			p.Heard = append(p.Heard, s.radioRow(words, n))
		}
	}
	if p.State == "none" {
		return s.render(w, r, c, "radio", p)
	}
	p.airtime(words, st)
	day, err := s.config.Node.RadioDay(r.Context())
	if err != nil {
		return err
	}
	if len(day.Slots) > 0 {
		p.Chart, p.Hours = dayChart(words, st, day), hourRows(words, day)
	}
	return s.render(w, r, c, "radio", p)
}

// radioState sorts the states of a radio by what is to be said of them.
func radioState(st RadioStatus) string {
	switch st.State {
	case "", "none", "off":
		return "none"
	case "ready":
		return "on"
	case "unplugged":
		if st.Device == "auto" {
			return "none" // none was ever found, so none is missing
		}
		return "missing"
	}
	return "starting"
}

// airtime puts the books of the airtime into words.
func (p *radioPage) airtime(words *lang.Catalogue, st RadioStatus) {
	at := st.Airtime
	p.Waiting = at.Waiting
	p.Use = "–"
	if st.ChannelUse != nil {
		p.Use = share(*st.ChannelUse)
	}
	p.Used = words.Span(time.Duration(at.HourMS) * time.Millisecond)
	if at.HourMS == 0 {
		p.Used = words.T("radio.nothing")
	}
	if limit := at.LimitMS; limit > 0 {
		p.UsedPct = int(min(100, 100*at.UsedMS/limit))
	}
	if at.LegalMS > 0 {
		p.Legal = share(float64(at.LegalMS) / float64(time.Hour.Milliseconds()))
	}
	if at.Paused != "" {
		p.Paused = words.T("delivery.about", "why", sayReason(words, at.Paused), "span", words.Span(time.Duration(at.PausedMS)*time.Millisecond))
	}
	for _, x := range at.Shares {
		row := shareRow{Key: x.Name, Waiting: x.Waiting}
		if x.WaitMS > 0 {
			row.Next = words.Span(time.Duration(x.WaitMS) * time.Millisecond)
			row.Why = sayReason(words, x.Why)
		}
		if x.LeftMS >= 0 {
			row.Left = words.Span(time.Duration(x.LeftMS) * time.Millisecond)
		}
		p.Shares = append(p.Shares, row)
	}
}

// share writes a share of time as people read it.
func share(v float64) string { return draw.Percent(min(max(v, 0), 1)) }

func dayChart(words *lang.Catalogue, st RadioStatus, day *RadioDay) template.HTML {
	d := draw.Day{
		Title: words.T("radio.chart"), Desc: words.T("radio.chart-desc"), Stop: stopUse,
		Legal:  float64(st.Airtime.LegalMS) / float64(time.Hour.Milliseconds()),
		Custom: float64(st.Airtime.LimitMS) / float64(time.Hour.Milliseconds()),
		Words: draw.DayWords{
			Use: words.T("radio.use"), Air: words.T("radio.air"), Signal: words.T("radio.signal"), Empty: words.T("radio.empty"),
			Stop: words.T("radio.stop", "share", share(stopUse)),
			Before: func(h int) string {
				if h == 0 {
					return words.T("radio.now")
				}
				return words.T("radio.ago", "n", h)
			},
		},
	}
	d.Words.Legal, d.Words.Custom = words.T("radio.legal", "share", share(d.Legal)), words.T("radio.custom", "share", share(d.Custom))
	for _, s := range day.Slots {
		one := draw.Slot{Use: s.Use, SNR: math.NaN()}
		if day.SlotMS > 0 {
			one.Air = float64(s.AirMS) / float64(day.SlotMS)
		}
		if s.Heard > 0 {
			one.SNR = s.SNR
		}
		d.Slots = append(d.Slots, one)
	}
	return d.Draw()
}

// hourRows sums the day up by the hour, the newest first; hours without
// anything are left out.
func hourRows(words *lang.Catalogue, day *RadioDay) []hourRow {
	each := max(len(day.Slots)/24, 1)
	var rows []hourRow
	for h := range 24 {
		to := len(day.Slots) - h*each
		from := max(to-each, 0)
		if to <= 0 {
			break
		}
		var use, snr float64
		var air int64
		measured, heard := 0, 0
		for _, s := range day.Slots[from:to] {
			if s.Use >= 0 {
				use += s.Use
				measured++
			}
			air += s.AirMS
			heard += s.Heard
			snr += s.SNR * float64(s.Heard)
		}
		if measured == 0 && heard == 0 && air == 0 {
			continue
		}
		row := hourRow{Ago: words.T("radio.ago", "n", h), Heard: heard, Air: secondsWords(words, air), Use: "–", SNR: "–"}
		if h == 0 {
			row.Ago = words.T("radio.now")
		}
		if measured > 0 {
			row.Use = share(use / float64(measured))
		}
		if heard > 0 {
			row.SNR = decibels(snr / float64(heard))
		}
		rows = append(rows, row)
	}
	return rows
}

func secondsWords(words *lang.Catalogue, ms int64) string {
	return words.T("time.seconds", "n", int(math.Round(float64(ms)/1000)))
}
