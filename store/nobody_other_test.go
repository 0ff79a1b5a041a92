//go:build !linux

package store

import "testing"

func asNobody(t *testing.T, do func()) { do() }
