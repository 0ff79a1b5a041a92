package main

import "syscall"

// clockSynchronised reports whether the kernel knows of a time service that
// keeps the clock right.
func clockSynchronised() bool {
	const unsynchronised = 0x40 // STA_UNSYNC
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	return err != nil || state != 5 && t.Status&unsynchronised == 0 // 5 is TIME_ERROR
}
