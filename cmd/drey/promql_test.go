package main

import (
	"fmt"
	"slices"
	"strings"
)

// promWords are the words of PromQL that are no names of metrics.
var promWords = []string{"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "offset", "bool", "inf", "nan"}

// metricNames lists the metrics that a PromQL expression asks for. It knows
// enough of the language for a dashboard: functions, matchers in braces,
// ranges in brackets, strings, and the lists of labels behind by, on and their
// kin.
func metricNames(query string) ([]string, error) {
	var names []string
	depth, last := 0, ""
	for i := 0; i < len(query); {
		switch c := query[i]; {
		case c == '"' || c == '\'':
			end := strings.IndexByte(query[i+1:], c)
			if end < 0 {
				return nil, fmt.Errorf("a string has no end")
			}
			i += end + 2
			last = ""
		case c == '{' || c == '[':
			end, err := closing(query[i:])
			if err != nil {
				return nil, err
			}
			i += end
			last = ""
		case c == '(':
			if slices.Contains(promWords[:6], last) { // labels, no metrics
				end := strings.IndexByte(query[i:], ')')
				if end < 0 {
					return nil, fmt.Errorf("a list of labels has no end")
				}
				i += end + 1
				last = ""
				break
			}
			depth++
			i++
		case c == ')':
			if depth--; depth < 0 {
				return nil, fmt.Errorf("a bracket too many")
			}
			i++
			last = ""
		case c == '_' || c == ':' || c|0x20 >= 'a' && c|0x20 <= 'z':
			j := i
			for j < len(query) && (query[j] == '_' || query[j] == ':' || query[j]|0x20 >= 'a' && query[j]|0x20 <= 'z' || query[j] >= '0' && query[j] <= '9') {
				j++
			}
			last = query[i:j]
			i = j
			rest := strings.TrimLeft(query[j:], " ")
			switch {
			case slices.Contains(promWords, last), strings.HasPrefix(rest, "("), strings.HasPrefix(rest, "by "), strings.HasPrefix(rest, "without "):
			case strings.HasSuffix(rest, ")") && strings.HasPrefix(query, "label_values(") && rest == ")":
				// the label that is wanted
			default:
				names = append(names, last)
			}
		case c >= '0' && c <= '9': // numbers and durations
			for i < len(query) && (query[i] >= '0' && query[i] <= '9' || query[i] == '.' || query[i]|0x20 >= 'a' && query[i]|0x20 <= 'z') {
				i++
			}
		default:
			i++
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("a bracket too few")
	}
	return names, nil
}

// closing returns the offset behind the bracket that closes the first one.
func closing(s string) (int, error) {
	end := map[byte]byte{'{': '}', '[': ']'}[s[0]]
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			n := strings.IndexByte(s[i+1:], '"')
			if n < 0 {
				return 0, fmt.Errorf("a string has no end")
			}
			i += n + 1
		case end:
			return i + 1, nil
		}
	}
	return 0, fmt.Errorf("%c has no end", s[0])
}
