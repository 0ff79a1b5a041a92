package main

import (
	"context"
	"io"
	"log/slog"

	"drey/radio/radiotest"
)

// simulate puts a radio and a handheld on a simulated ether, for --radio sim:
// the handheld's owner answers what the node sends. run makes the ether work.
func simulate(log *slog.Logger) (dial func(context.Context) (io.ReadWriteCloser, error), run func(context.Context) error) {
	air := radiotest.NewAir(radiotest.Config{Collisions: true, Log: log})
	radio := air.NewRadio("sim radio", radiotest.RadioConfig{})
	handheld := air.NewHandheld("sim handheld")
	handheld.Answer(func(t radiotest.Text) string { return "heard you: " + firstWords(t.Text) })
	return func(context.Context) (io.ReadWriteCloser, error) { return radio.Conn(), nil }, air.Run
}

// firstWords cuts a text to what an answer can quote.
func firstWords(s string) string {
	const most = 40
	if letters := []rune(s); len(letters) > most {
		return string(letters[:most]) + "…"
	}
	return s
}
