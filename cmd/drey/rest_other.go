//go:build !linux

package main

// A program is where the program's file lies in memory, where that can be told.
type program struct{}

func newProgram() program { return program{} }

// forget does nothing where there is no way to tell the system.
func (program) forget() {}
