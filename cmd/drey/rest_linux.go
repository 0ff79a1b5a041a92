package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetProgram tells the system that the pages of the program's file are not
// needed now. Most of them served the start only; what runs on is fetched
// again from the system's own cache. What cannot be read is left as it is.
func forgetProgram() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		from, to, ok := programPages(lines.Text(), exe)
		if ok {
			unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED)
		}
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
