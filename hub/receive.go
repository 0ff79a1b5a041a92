package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drey/mesh"
)

// receive takes an arrival through every question and counts a refusal.
func (h *Hub) receive(ctx context.Context, a *arrival) (*mesh.Record, error) {
	a.at = h.clock()
	var r *mesh.Record
	err := checkEnvelope(a.event, a.from)
	if err == nil {
		r, err = h.join(ctx, a)
	}
	var no *refusal
	if errors.As(err, &no) && !(a.again && errors.Is(err, mesh.ErrUnknownAuthor)) {
		h.refused.Add(no.why)
	}
	return r, err
}

// join has one of several equal arrivals taken and gives all the answer.
func (h *Hub) join(ctx context.Context, a *arrival) (*mesh.Record, error) {
	id := a.event.ID()
	for {
		if h.lately(id, a.at) && !a.from.Durable {
			return nil, mesh.ErrDuplicate
		}
		first, err := h.flights.lead(ctx, a.event)
		if first {
			r, err := h.take(ctx, a)
			h.flights.land(a.event, err)
			return r, err
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil || errors.Is(err, mesh.ErrDuplicate):
			return nil, h.known(ctx, a, 0)
		case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
			continue // the other one gave up, this one has not
		}
		return nil, err
	}
}

func (h *Hub) lately(id mesh.EventID, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.seen.has(id, now)
}

// known answers for an event that is not new, once it is on disk if the caller
// asks for that.
func (h *Hub) known(ctx context.Context, a *arrival, why mesh.Reason) error {
	if why != 0 {
		return gone(a.event.ID(), why)
	}
	h.see(a)
	if a.from.Durable {
		if err := h.onDisk(ctx, &mesh.Record{Event: a.event, Topic: a.from.Topic, Received: a.at}); err != nil {
			return err
		}
	}
	return mesh.ErrDuplicate
}

func (h *Hub) see(a *arrival) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.seen.add(a.event.ID(), a.at)
}

// onDisk waits until a record that the store has taken is on disk: saving it
// again, durably, is answered when the first time is.
func (h *Hub) onDisk(ctx context.Context, r *mesh.Record) error {
	if r.Event.Kind().Ephemeral() {
		return nil
	}
	again := *r
	err := h.store.Save(ctx, &again, nil, true)
	var gone *mesh.GoneError
	if err == nil || errors.Is(err, mesh.ErrDuplicate) || errors.Is(err, mesh.ErrExpired) || errors.As(err, &gone) {
		return nil
	}
	return failed(ctx, err)
}

// failed makes the answer of a store that did not work: nothing was promised,
// so whoever brought the event may bring it again.
func failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, mesh.ErrBusy) {
		return &refusal{whyBusy, err, ""}
	}
	return &refusal{whyDisk, fmt.Errorf("%w: %w", mesh.ErrBusy, err), ""}
}

// take asks the questions. The package comment lists them.
func (h *Hub) take(ctx context.Context, a *arrival) (*mesh.Record, error) {
	e := a.event
	r := reckon(a.at, h.built, h.clocks())
	if err := checkForm(e, r); err != nil {
		return nil, err
	}
	if err := h.waits(e.ID()); err != nil {
		return nil, err
	}
	why, known, err := h.store.Known(ctx, e.ID())
	if err != nil {
		return nil, failed(ctx, err)
	}
	if known || e.Kind().Ephemeral() && h.lately(e.ID(), a.at) {
		return nil, h.known(ctx, a, why)
	}
	if h.blocked(e.Author()) {
		return nil, refuse(mesh.ErrRefused, whyBlocked, "this node blocks the author")
	}
	s := h.standing(a, r.now)
	if s == mesh.Banned && e.Kind() != mesh.KindRoster {
		return nil, refuse(mesh.ErrRefused, whyBanned, "the author is banned")
	}
	if !a.verified {
		if err := h.verify(e, s); err != nil {
			return nil, &refusal{whySignature, err, ""}
		}
		a.verified = true
	}
	if err := h.belongs(a, s, r.now); err != nil {
		return nil, err
	}
	flags, err := h.date(a, r)
	if err != nil {
		return nil, err
	}
	return h.keep(ctx, a, s, r, flags)
}

// verify checks e's signature. Only keys of those who belong are remembered for
// the next time: others cannot crowd them out.
func (h *Hub) verify(e *mesh.Event, s mesh.Standing) error {
	if s < mesh.Guest {
		return e.Verify()
	}
	return h.checker.Verify(e)
}

// waits answers for an event that has been checked and waits here. It is not
// counted as refused again.
func (h *Hub) waits(id mesh.EventID) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.mu.strangers.has(id):
		return mesh.ErrUnknownAuthor
	case h.mu.early.has(id):
		return fmt.Errorf("%w: it is not due yet", mesh.ErrRefused)
	}
	return nil
}

// belongs asks whether the author's events count. Those of strangers wait.
func (h *Hub) belongs(a *arrival, s mesh.Standing, now time.Time) error {
	e := a.event
	var err error
	switch e.Kind() {
	case mesh.KindRoster, mesh.KindPass:
		err = h.apply(e)
	case mesh.KindGiftWrap:
		err = h.addressee(a, now)
	case mesh.KindOutward:
		if s == mesh.Guest {
			return refuse(mesh.ErrRefused, whyRight, "guests send nothing to outsiders")
		}
		err = h.admitted(s)
	case mesh.KindTopic:
		if s == mesh.Guest {
			return refuse(mesh.ErrRefused, whyRight, "guests make no topics")
		}
		if t, _ := registered(e); !h.topics.has(t) && !h.topics.mayAdd(e.Author()) {
			return refuse(mesh.ErrRefused, whyTopics, "there are %d already, or %d by this author", maxTopics, authorTopics)
		}
		err = h.admitted(s)
	default:
		err = h.admitted(s)
	}
	if errors.Is(err, mesh.ErrUnknownAuthor) {
		return h.hold(a, err)
	}
	if err != nil {
		return err
	}
	return h.pace(a, s, now)
}

func (h *Hub) admitted(s mesh.Standing) error {
	if s < mesh.Guest {
		return refuse(mesh.ErrUnknownAuthor, whyStranger, "held until the roster changes")
	}
	return nil
}

// apply hands a decision or a pass to the roster.
func (h *Hub) apply(e *mesh.Event) error {
	_, err := h.roster.Apply(e)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mesh.ErrUnknownAuthor):
		return &refusal{whyStranger, err, ""}
	case errors.Is(err, mesh.ErrInvalid):
		return &refusal{whyForm, err, ""}
	}
	return &refusal{whyRight, err, ""}
}

// hold lets an arrival wait for the roster to change.
func (h *Hub) hold(a *arrival, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.mu.strangers.add(a, a.at) {
		return refuse(mesh.ErrUnknownAuthor, whyCrowd, "%d of this author wait already", roomPerAuthor)
	}
	return err
}

// date judges an event that is dated in the future. Only a clock that can be
// trusted may refuse it. Where none can, a register waits for its date: it
// would overrule everything until then.
func (h *Hub) date(a *arrival, r reckoning) (mesh.Flags, error) {
	e := a.event
	if !r.future(e.CreatedAt()) || e.Kind() == mesh.KindRoster || e.Kind() == mesh.KindPass {
		return 0, nil
	}
	if r.trusted {
		return 0, refuse(mesh.ErrRefused, whyFuture, "dated %s, it is %s", e.CreatedAt().Time().Format(time.RFC3339), r.now.UTC().Format(time.RFC3339))
	}
	if newestOnly(e.Kind()) && !r.lost {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.mu.early.add(a, a.at)
		return 0, refuse(mesh.ErrRefused, whyEarly, "held until %s", e.CreatedAt().Time().Format(time.RFC3339))
	}
	return mesh.FlagFuture, nil
}
