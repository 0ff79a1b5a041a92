package configs

import (
	"fmt"
	"reflect"
	"strings"
)

// A key is one setting: its path in the file and its place in the struct.
type key struct {
	path string // "overlay.peers"
	at   []int  // section and field, for reflect's FieldByIndex
	live bool   // applies on reload without a restart of the node's parts
}

// keys lists every setting in the order of the structs. Tables of an array
// ("radio.topic") count as one key, and so do the names inside them.
func keys() []key {
	var all []key
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		section := t.Field(i)
		for j := range section.Type.NumField() {
			f := section.Type.Field(j)
			all = append(all, key{
				path: section.Tag.Get("toml") + "." + f.Tag.Get("toml"),
				at:   []int{i, j},
				live: f.Tag.Get("reload") == "live",
			})
		}
	}
	return all
}

// known lists every path that a file may hold, those inside tables included.
func known() []string {
	var paths []string
	for _, k := range keys() {
		paths = append(paths, k.path)
		t := reflect.TypeFor[Config]().FieldByIndex(k.at).Type
		if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Struct {
			continue
		}
		for i := range t.Elem().NumField() {
			paths = append(paths, k.path+"."+t.Elem().Field(i).Tag.Get("toml"))
		}
	}
	return paths
}

// LiveKeys lists the keys that a reload applies without a restart of the
// node's parts.
func LiveKeys() []string {
	var live []string
	for _, k := range keys() {
		if k.live {
			live = append(live, k.path)
		}
	}
	return live
}

// Changed lists the keys in which two configurations differ, and whether all
// of them apply live.
func Changed(a, b Config) (paths []string, live bool) {
	live = true
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for _, k := range keys() {
		if !reflect.DeepEqual(va.FieldByIndex(k.at).Interface(), vb.FieldByIndex(k.at).Interface()) {
			paths = append(paths, k.path)
			live = live && k.live
		}
	}
	return paths, live
}

// nearest returns the known path or section most like s, or "" when none is
// close.
func nearest(s string) string {
	best, least := "", len(s)/2+1
	for _, p := range append(known(), sections()...) {
		// A key in the wrong section is a common slip: its last word counts too.
		d := distance(s, p)
		if strings.Contains(s, ".") && strings.Contains(p, ".") {
			d = min(d, distance(lastWord(s), lastWord(p))+1)
		}
		if d < least {
			best, least = p, d
		}
	}
	return best
}

// sections lists the sections in the order of the struct.
func sections() []string {
	var names []string
	t := reflect.TypeFor[Config]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Tag.Get("toml"))
	}
	return names
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// distance counts the letters to insert, drop, change or swap with their
// neighbour to make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// unknownKey is the fault of a key that nothing reads.
func unknownKey(path string) error {
	if near := nearest(path); near != "" {
		return fmt.Errorf("unknown key %s, did you mean %s?", path, near)
	}
	return fmt.Errorf("unknown key %s; the sections are %s", path, strings.Join(sections(), ", "))
}
