// Package town is drey's acceptance: real binaries on machines of their own,
// used as people use them, in the situations that the program is made for.
// Each test asserts what its name says and logs the figures that it measured.
package town
