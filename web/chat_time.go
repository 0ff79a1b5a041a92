package web

import (
	"strconv"
	"time"

	"drey/web/lang"
)

// ago says how long something is past, roughly.
func ago(words *lang.Catalogue, d time.Duration) string {
	switch {
	case d < time.Minute:
		return words.T("time.now")
	case d < time.Hour:
		return words.T("time.minutes-ago", "n", int(d.Minutes()))
	case d < 48*time.Hour:
		return words.T("time.hours-ago", "n", int(d.Hours()))
	}
	return words.T("time.days-ago", "n", int(d.Hours()/24))
}

// dayWords names a day as people do. Both times are in the place's own zone.
func dayWords(words *lang.Catalogue, at, now time.Time) string {
	day := func(t time.Time) time.Time { return time.Date(t.Year(), t.Month(), t.Day(), 12, 0, 0, 0, t.Location()) }
	switch d := day(now).Sub(day(at)).Hours(); {
	case d < 12 && d > -12:
		return words.T("time.today")
	case d > 0 && d < 36:
		return words.T("time.yesterday")
	}
	weekday := words.T("time.weekday-" + strconv.Itoa(int(at.Weekday())))
	month := words.T("time.month-" + strconv.Itoa(int(at.Month())))
	if at.Year() != now.Year() {
		return words.T("time.date-year", "weekday", weekday, "day", at.Day(), "month", month, "year", at.Year())
	}
	return words.T("time.date", "weekday", weekday, "day", at.Day(), "month", month)
}

// dateWords names a day and the time on it.
func dateWords(words *lang.Catalogue, at, now time.Time) string {
	return words.T("time.moment", "day", dayWords(words, at, now), "clock", at.Format("15:04"))
}
