package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"drey/mesh"
	"drey/radio"
	"drey/radio/meshtastic"
	"drey/web"
)

// noRadio answers who asks a node without a radio for something.
func (a api) noRadio() error {
	if s := a.radio.Status(); s.State != radio.StateNone {
		return nil
	}
	return web.NewError(web.CodeNotBuilt, "this node has no radio", "radio.device is \"none\"", "connect one and set radio.device = \"auto\"", nil)
}

// Airs reports whether the configuration sends a message out by radio.
func (a api) Airs(r *mesh.Record) bool { return len(a.radio.Targets(r)) > 0 }

// RadioNodes lists the radios on the air.
func (a api) RadioNodes(context.Context) ([]web.RadioNode, error) {
	var all []web.RadioNode
	for _, n := range a.radio.Nodes() {
		w := web.RadioNode{
			Node: n.Node, Name: n.Name, ShortName: n.ShortName, Self: n.Self, LastHeard: n.LastHeard, SNR: n.SNR,
			Hops: n.Hops, ViaMQTT: n.ViaMQTT, Battery: n.Battery, KeyKnown: n.KeyKnown,
		}
		if p := n.Place; p != nil {
			w.Place = &web.RadioPlace{Latitude: p.Latitude, Longitude: p.Longitude, Altitude: p.Altitude, At: p.At}
		}
		all = append(all, w)
	}
	return all, a.noRadio()
}

// RadioMessages lists the private messages with handhelds.
func (a api) RadioMessages(context.Context) ([]web.RadioMessage, error) {
	var all []web.RadioMessage
	for _, m := range a.radio.Private() {
		all = append(all, web.RadioMessage(m))
	}
	return all, nil
}

// SendRadioMessage writes to one handheld.
func (a api) SendRadioMessage(ctx context.Context, p web.RadioPost) (*web.RadioMessage, error) {
	if err := a.noRadio(); err != nil {
		return nil, err
	}
	m, err := a.radio.SendPrivate(ctx, p.To, p.Text)
	if failed, ok := errors.AsType[*radio.PrivateError](err); ok {
		code := web.CodeRefused
		if failed.NotFound() {
			code = web.CodeNotFound
		}
		return nil, web.NewError(code, "not sent", failed.Error(), failed.Hint(), err)
	}
	if err != nil {
		return nil, err
	}
	w := web.RadioMessage(m)
	return &w, nil
}

// TestRadio asks whether anybody hears the radio.
func (a api) TestRadio(ctx context.Context) (*web.RadioTest, error) {
	if err := a.noRadio(); err != nil {
		return nil, err
	}
	p, err := a.radio.Test(ctx)
	if err != nil {
		return nil, a.radioFault(err)
	}
	return &web.RadioTest{Sent: p.Sent, Heard: p.Heard, AfterMS: p.After.Milliseconds(), Why: p.Why}, nil
}

// radioFault says to a client why the radio did not do something.
func (a api) radioFault(err error) error {
	code := web.CodeRefused
	if errors.Is(err, context.DeadlineExceeded) {
		code = web.CodeTimeout
	}
	fix := "'drey doctor' tells what ails the radio"
	if s := a.radio.Status(); s.Fix != "" {
		fix = s.Fix
	}
	return web.NewError(code, "the radio did not do it", err.Error(), fix, err)
}

// SetUpRadio tells what a wish changes on the radio, and does it.
func (a api) SetUpRadio(ctx context.Context, w web.RadioWish) (*web.RadioPlan, error) {
	if err := a.noRadio(); err != nil {
		return nil, err
	}
	wish := radio.Wish{}
	if w.Region != "" {
		r, ok := meshtastic.ParseRegion(w.Region)
		if !ok || r == meshtastic.RegionUnset {
			return nil, web.NewError(web.CodeUsage, fmt.Sprintf("there is no region %.20q", w.Region), "", "one of "+strings.Join(meshtastic.Regions(), ", "), nil)
		}
		wish.Region = r
	}
	setup := a.radio.NewSetup()
	was, err := setup.Read(ctx)
	if err != nil {
		return nil, a.radioFault(err)
	}
	plan, err := a.radioPlan(was, wish, w.Restore)
	if err != nil {
		return nil, err
	}
	out := &web.RadioPlan{Node: plan.Node, Steps: plan.Steps, Notes: plan.Notes, Channel: plan.Channel}
	if !w.Apply || plan.Nothing() {
		out.Done = plan.Nothing()
		return out, nil
	}
	if out.Saved, err = a.home.saveRadio(plan.Was(), a.clock()); err != nil {
		return nil, homeFault(a.home, err)
	}
	a.log.Info("radio is set up", "node", plan.Node, "saved", out.Saved)
	if err := setup.Apply(ctx, plan); err != nil {
		return nil, web.NewError(web.CodeRefused, "the radio is not set up", err.Error(), "what was there is in "+out.Saved+"; 'drey radio setup --restore' writes it back", err)
	}
	out.Done = true
	return out, nil
}

func (a api) radioPlan(was *radio.Settings, wish radio.Wish, restore string) (*radio.Plan, error) {
	if restore != "" {
		saved, err := radio.ParseSettings([]byte(restore))
		if err != nil {
			return nil, web.NewError(web.CodeUsage, "these are no saved settings of a radio", err.Error(), "'drey radio setup' says which file it writes", err)
		}
		return radio.PlanRestore(was, saved)
	}
	if secrets := a.secrets(); len(secrets) > 0 {
		psk := secrets[0].RadioPSK()
		wish.PSK = psk[:]
		for _, s := range secrets[1:] {
			old := s.RadioPSK()
			wish.Old = append(wish.Old, old[:])
		}
	}
	plan, err := radio.PlanSetup(was, wish)
	switch {
	case errors.Is(err, radio.ErrNoRegion):
		return nil, web.NewError(web.CodeUsage, err.Error(), "without a region a radio does not transmit; the law of the place decides which it is", "name it with --region, one of "+strings.Join(meshtastic.Regions(), ", "), err)
	case errors.Is(err, radio.ErrNoPlace):
		return nil, web.NewError(web.CodeRefused, err.Error(), "", "free one in the Meshtastic app, then try again", err)
	}
	return plan, err
}

// saveRadio keeps a radio's settings in a new file of the home and returns its
// name. They hold channel keys.
func (h home) saveRadio(s *radio.Settings, now time.Time) (string, error) {
	b, err := s.Marshal()
	if err != nil {
		return "", err
	}
	base := "radio-" + strings.TrimPrefix(s.Node, "!") + "-" + now.UTC().Format("20060102-150405")
	for n := range 100 {
		name := base
		if n > 0 {
			name += fmt.Sprintf("-%d", n+1)
		}
		path := h.path(name + ".json")
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = f.Write(b)
		return path, errors.Join(err, f.Sync(), f.Close())
	}
	return "", fmt.Errorf("%s: too many files of this second", base)
}

// radioStatus is the radio's state in the words of the API.
func radioStatus(r *radio.Carrier) web.RadioStatus {
	s, shared := r.Status(), r.Shared()
	at := s.Airtime
	st := web.RadioStatus{
		State: s.State, Device: s.Device, Node: s.Node, Region: s.Region, Preset: s.Preset,
		Name: s.Name, Firmware: s.Firmware, Nodes: s.Nodes, Heard: s.Heard, Gateways: s.Gateways,
		Airtime: web.AirtimeStatus{
			UsedMS: at.SpentMS, LimitMS: at.BudgetMS, Waiting: s.Queue, WaitMS: at.NextInMS,
			HourMS: at.HourMS, LegalMS: at.LegalMS, LeftMS: at.LeftMS, Paused: at.Paused, PausedMS: at.PausedMS,
		},
	}
	if at.Utilization >= 0 {
		use := float64(min(at.Utilization, 100)) / 100
		st.ChannelUse = &use
	}
	for _, x := range at.Shares {
		st.Airtime.Shares = append(st.Airtime.Shares, web.AirtimeShare{
			Name: x.Name, LimitMS: x.BudgetMS, UsedMS: x.SpentMS, LeftMS: x.LeftMS, Waiting: x.Waiting, WaitMS: x.NextInMS, Why: x.Why,
		})
	}
	for _, c := range s.Channels {
		w := web.RadioChannel{Index: c.Index, Name: c.Name, Public: c.Public, Topics: []string{}}
		for _, t := range c.Topics {
			w.Topics = append(w.Topics, string(t))
		}
		st.Channels = append(st.Channels, w)
	}
	if shared.Listen != "" || shared.Problem != "" {
		st.Share = &web.RadioShare{Listen: shared.Listen, Clients: shared.Clients, Served: shared.Served, Refused: shared.Refused, Dropped: shared.Dropped}
	}
	return st
}

// radioChecks are the radio's own problems.
func radioChecks(r *radio.Carrier, device string) []web.Check {
	var checks []web.Check
	if s := r.Status(); s.Problem != "" && (device != "auto" || s.State == radio.StateLive) {
		checks = append(checks, told("radio", s.Code, s.Problem, s.Fix))
	}
	if s := r.Shared(); s.Problem != "" {
		checks = append(checks, told("radio", radio.CodeShare, s.Problem, s.Fix))
	}
	return checks
}
