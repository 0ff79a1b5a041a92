package main

import (
	"context"
	"io"
	"log/slog"

	"drey/radio/radiotest"
)

// A simulation is the ether of --radio sim, with the node's radio and a handheld
// on it. It outlives the node's parts: a radio that is set up keeps its settings
// when they are made anew.
type simulation struct {
	ctx   context.Context
	log   *slog.Logger
	ether *life // nil while there is none
	radio *radiotest.Radio
}

func newSimulation(ctx context.Context, log *slog.Logger) *simulation {
	return &simulation{ctx: ctx, log: log}
}

// line returns how the next life of the parts reaches the simulated radio. Where
// none is wanted it is nil, and the ether ends.
func (s *simulation) line(wanted bool) (dial func(context.Context) (io.ReadWriteCloser, error), err error) {
	if !wanted {
		return nil, s.end()
	}
	if s.ether == nil {
		run := s.begin()
		s.ether = newLife(s.ctx)
		s.ether.begin("ether", run)
	}
	radio := s.radio
	return func(context.Context) (io.ReadWriteCloser, error) { return radio.Conn(), nil }, nil
}

// begin makes an ether, whose handheld's owner answers what the node sends; run
// makes it work.
func (s *simulation) begin() (run func(context.Context) error) {
	air := radiotest.NewAir(radiotest.Config{Collisions: true, Log: s.log})
	s.radio = air.NewRadio("sim radio", radiotest.RadioConfig{})
	handheld := air.NewHandheld("sim handheld")
	handheld.Answer(func(t radiotest.Text) string { return "heard you: " + firstWords(t.Text) })
	return air.Run
}

func (s *simulation) end() error {
	if s.ether == nil {
		return nil
	}
	err := s.ether.end()
	s.ether, s.radio = nil, nil
	return err
}

// firstWords cuts a text to what an answer can quote.
func firstWords(s string) string {
	const most = 40
	if letters := []rune(s); len(letters) > most {
		return string(letters[:most]) + "…"
	}
	return s
}
