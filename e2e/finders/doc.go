// Package finders shows that each way of finding peers brings two machines
// together by itself: real binaries in network namespaces, every other finder
// switched off. It logs a table of finder, result and time.
package finders
