package configs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Size is a number of bytes, written as "500MB" (1000-based) or "2GiB"
// (1024-based).
type Size int64

// Units of a Size.
const (
	KB Size = 1000
	MB      = 1000 * KB
	GB      = 1000 * MB
	TB      = 1000 * GB
)

var sizeUnits = []struct {
	suffix string
	size   Size
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"TB", TB}, {"GB", GB}, {"MB", MB}, {"kB", KB}, {"KB", KB}, {"B", 1},
}

// ParseSize reads a whole or decimal number followed by a unit.
func ParseSize(s string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		digits = strings.TrimRight(digits, " ")
		if strings.Trim(digits, "0123456789.") != "" {
			break
		}
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil || n*float64(u.size) > math.MaxInt64/2 {
			break
		}
		return Size(math.Round(n * float64(u.size))), nil
	}
	return 0, fmt.Errorf("size %.40q is not a number with a unit, such as 500MB or 2GiB", s)
}

// UnmarshalText reads a size from a file.
func (s *Size) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSize(string(b))
	return err
}

// MarshalText writes the size with the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the size with the largest unit that divides it.
func (s Size) String() string {
	best := sizeUnits[len(sizeUnits)-1]
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 && u.size > best.size {
			best = u
		}
	}
	return strconv.FormatInt(int64(s/best.size), 10) + best.suffix
}

// A Duration is a length of time, written as Go writes it ("90s", "1h30m") or
// in days ("7d").
type Duration time.Duration

// ParseDuration reads a length of time that is not negative.
func ParseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("duration %.40q is not a whole number of days, such as 7d", s)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("duration %.40q is not a length of time, such as 90s, 1h30m or 7d", s)
	}
	return d, nil
}

// UnmarshalText reads a duration from a file.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// MarshalText writes the duration as Go does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
