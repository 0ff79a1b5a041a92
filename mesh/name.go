package mesh

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a community, machine or person, in bytes.
const MaxName = 64

// CheckName accepts what people call a community, a machine or a person: 1 to
// MaxName bytes of printable UTF-8 without space at the ends.
func CheckName(s string) error {
	if len(s) < 1 || len(s) > MaxName {
		return fmt.Errorf("name has %d bytes, allowed are 1 to %d", len(s), MaxName)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("name is not valid UTF-8")
	}
	if strings.TrimSpace(s) != s {
		return fmt.Errorf("name %q has space at an end", s)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("name %q: %q cannot be printed", s, r)
		}
	}
	return nil
}
