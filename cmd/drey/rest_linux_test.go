package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestProgramPages(t *testing.T) {
	const exe = "/usr/bin/drey"
	for _, c := range []struct {
		line string
		ok   bool
	}{
		{"00400000-0155e000 r-xp 00000000 00:1b 7301   /usr/bin/drey", true},
		{"0155e000-02a93000 r--p 0115e000 00:1b 7301   /usr/bin/drey", true},
		{"02a93000-02c09000 rw-p 02693000 00:1b 7301   /usr/bin/drey", false},
		{"00400000-0155e000 r-xp 00000000 00:1b 7301   /usr/bin/drey (deleted)", false},
		{"00400000-0155e000 r-xp 00000000 00:1b 7301   /usr/bin/dreyer", false},
		{"00400000-0155e000 ---p 00000000 00:1b 7301   /usr/bin/drey", false},
		{"33674a000000-33674ac00000 rw-p 00000000 00:00 0", false},
		{"7fff0000-7fff1000 r-xp 00000000 00:00 0    [vdso]", false},
		{"", false},
	} {
		from, to, ok := programPages(c.line, exe)
		if ok != c.ok || ok && (from >= to || from == 0) {
			t.Errorf("%q: %x to %x, %t; want %t", c.line, from, to, ok, c.ok)
		}
	}
}

// The test itself runs on: what was given up comes back as it was.
func TestProgramIsForgotten(t *testing.T) {
	before, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	newProgram().forget()
	after, _ := os.ReadFile("/proc/self/status")
	was, is := rssFile(t, before), rssFile(t, after)
	if is >= was {
		t.Errorf("%d kB of files resident after, %d before", is, was)
	}
}

// rssFile reads RssFile of proc_pid_status(5), in kB.
func rssFile(t *testing.T, status []byte) int {
	t.Helper()
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "RssFile:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb
		}
	}
	t.Skip("this system does not tell RssFile")
	return 0
}
