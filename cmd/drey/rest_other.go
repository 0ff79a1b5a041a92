//go:build !linux

package main

// forgetProgram does nothing where there is no way to tell the system.
func forgetProgram() {}
