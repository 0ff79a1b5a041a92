package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A program is where the program's file lies in memory; it stays there.
type program []pages

// pages are addresses, the second one after the last.
type pages struct{ from, to uintptr }

// newProgram finds the program's pages. What cannot be read is left out.
func newProgram() program {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer maps.Close()
	var p program
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if from, to, ok := programPages(lines.Text(), exe); ok {
			p = append(p, pages{from, to})
		}
	}
	return p
}

// forget tells the system that the pages are not needed now. Most of them
// served the start or a newcomer only; what runs on is fetched again from the
// system's own cache.
func (p program) forget() {
	for _, part := range p {
		unix.Syscall(unix.SYS_MADVISE, part.from, part.to-part.from, unix.MADV_DONTNEED)
	}
}

// programPages reads one line of /proc/self/maps, see proc_pid_maps(5). It
// reports pages of exe that were never written: only they can be fetched again.
func programPages(line, exe string) (from, to uintptr, ok bool) {
	var mode, offset, device string
	var inode uint64
	if _, err := fmt.Sscanf(line, "%x-%x %s %s %s %d", &from, &to, &mode, &offset, &device, &inode); err != nil {
		return 0, 0, false
	}
	_, path, named := strings.Cut(line, "/")
	return from, to, named && "/"+path == exe && strings.HasPrefix(mode, "r") && !strings.Contains(mode, "w") && from < to
}
