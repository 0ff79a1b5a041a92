package mainline

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Values of bencoding (BEP 3): int64, string, []any and map[string]any. What
// others send may be sloppy; what is written here is in its one form.

const maxDepth = 8 // of lists and dictionaries in each other

var errBencode = errors.New("not bencoded")

// appendBencode appends a value. Only the types above may occur in it.
func appendBencode(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		b = append(b, 'i')
		b = strconv.AppendInt(b, v, 10)
		return append(b, 'e')
	case string:
		b = strconv.AppendInt(b, int64(len(v)), 10)
		b = append(b, ':')
		return append(b, v...)
	case []any:
		b = append(b, 'l')
		for _, e := range v {
			b = appendBencode(b, e)
		}
		return append(b, 'e')
	case map[string]any:
		b = append(b, 'd')
		for _, k := range slices.Sorted(maps.Keys(v)) {
			b = appendBencode(b, k)
			b = appendBencode(b, v[k])
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("mainline: %T cannot be bencoded", v))
}

// parseBencode reads one value; what follows it is ignored, as everybody does.
// Of a key that occurs twice the last counts.
func parseBencode(b []byte) (any, error) {
	v, _, err := parseValue(string(b), 0)
	return v, err
}

func parseValue(s string, depth int) (v any, rest string, err error) {
	if s == "" || depth > maxDepth {
		return nil, "", errBencode
	}
	switch c := s[0]; {
	case c == 'i':
		for i := 1; i < len(s) && i < 22; i++ {
			if s[i] == 'e' {
				n, err := strconv.ParseInt(s[1:i], 10, 64)
				if err != nil {
					return nil, "", errBencode
				}
				return n, s[i+1:], nil
			}
		}
		return nil, "", errBencode
	case c >= '0' && c <= '9':
		return parseText(s)
	case c == 'l':
		list := []any{}
		for s = s[1:]; ; list = append(list, v) {
			if s != "" && s[0] == 'e' {
				return list, s[1:], nil
			}
			if v, s, err = parseValue(s, depth+1); err != nil {
				return nil, "", err
			}
		}
	case c == 'd':
		dict := map[string]any{}
		for s = s[1:]; ; {
			if s != "" && s[0] == 'e' {
				return dict, s[1:], nil
			}
			key, rest, err := parseText(s)
			if err != nil {
				return nil, "", err
			}
			if v, s, err = parseValue(rest, depth+1); err != nil {
				return nil, "", err
			}
			dict[key] = v
		}
	}
	return nil, "", errBencode
}

func parseText(s string) (text, rest string, err error) {
	const digits = 5 // a datagram holds 65,507 bytes
	for i := 0; i < len(s) && i <= digits; i++ {
		if s[i] == ':' {
			n, err := strconv.ParseUint(s[:i], 10, 32)
			if err != nil || int(n) > len(s)-i-1 {
				return "", "", errBencode
			}
			return s[i+1 : i+1+int(n)], s[i+1+int(n):], nil
		}
	}
	return "", "", errBencode
}
