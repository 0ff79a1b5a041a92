// Package page drives Debian's chromium against real nodes: what a newcomer
// does on the page, with a stopwatch; whether everybody can use it (axe-core);
// what happens when things go wrong; and the figures of docs/BENCHMARKS.md.
//
//	go test -tags e2e -v ./e2e/page
//
// Screenshots go to the folder in $ARTIFACTS, else to one that the test makes
// and names.
package page
