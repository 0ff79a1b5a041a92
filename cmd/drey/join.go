package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/bootstrap"
	"drey/mesh"
	"drey/mesh/roster"
	"drey/store"
	"drey/web"
)

func (s *session) joinCommand() *cobra.Command {
	leave, name := false, ""
	c := &cobra.Command{
		Use:   "join INVITE|IMAGE|-",
		Short: "accept an invite: its text, an image of it, or standard input",
		Long: "join makes this node a member of the community that an invite is for. A community\n" +
			"of one is dissolved by that, and what was said in it stays on this machine; one\n" +
			"that others share is left only with --leave. Works while the node is off, too.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			invite, err := s.readInvite(args[0])
			if err != nil {
				return err
			}
			if h.running() {
				return h.explain(s.joinRunning(c.Context(), h, invite, leave))
			}
			return s.joinStopped(c.Context(), h, invite, name, leave)
		},
	}
	c.Flags().BoolVar(&leave, "leave", false, "leave a community that others share")
	c.Flags().StringVar(&name, "name", "", "what neighbours see of a node that is off (default node.name, or the machine's name)")
	return c
}

// readInvite finds an invite's text: given as it is, in an image, in a file,
// or on standard input.
func (s *session) readInvite(arg string) (*mesh.Invite, error) {
	const most = 20 << 20 // bytes of a photograph
	text := arg
	var b []byte
	var err error
	if arg == "-" {
		b, err = io.ReadAll(io.LimitReader(s.in, most))
	} else if info, statErr := os.Stat(arg); statErr == nil && info.Mode().IsRegular() && info.Size() <= most {
		b, err = os.ReadFile(arg)
	}
	if err != nil {
		return nil, err
	}
	if isImage(b) {
		if text, err = readQR(b); err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
	} else if b != nil {
		text = string(bytes.TrimSpace(b))
	}
	v, err := mesh.ParseInvite(text)
	if err != nil {
		return nil, failf(exitUsage, "make one with 'drey invite' on a machine of the community", "%w", err)
	}
	return v, nil
}

// joinRunning has the running node join. It makes its parts anew then.
func (s *session) joinRunning(ctx context.Context, h home, invite *mesh.Invite, leave bool) error {
	c := client(h)
	defer c.Close()
	joined, err := c.Join(ctx, web.JoinRequest{Invite: invite.Link(), Leave: leave})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "joined %s (%s)\n", plain(joined.Now.Name, false), count(joined.Now.Members, "member"))
	return err
}

// joinStopped joins in the place of a node that is off, so that the next 'up'
// finds itself a member.
func (s *session) joinStopped(ctx context.Context, h home, invite *mesh.Invite, name string, leave bool) error {
	conf, err := s.loadConfig(h, "", nil)
	if err != nil {
		return err
	}
	if name != "" {
		conf.Node.Name = name
	}
	set, _, release, err := h.claim(conf)
	if err != nil {
		return err
	}
	defer release()
	w, err := s.joinHome(ctx, set, invite, leave)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "joined %s\n", plain(w.Membership.Community.Name, false))
	fmt.Fprintln(s.err, "'drey up' starts the node as a member")
	return nil
}

// joinHome redeems an invite for a home whose node is off, which the caller
// has locked.
func (s *session) joinHome(ctx context.Context, set setup, invite *mesh.Invite, leave bool) (*bootstrap.Welcome, error) {
	old, err := set.home.readMembership()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if old != nil && !leave {
		members, err := countMembers(ctx, set.home, old)
		if err != nil {
			return nil, err
		}
		leave = members <= 1 && !old.Community.Open
	}
	self := &bootstrap.Self{
		Identity: set.who,
		Name:     set.name,
		Record:   mesh.PeerRecord{Lifetime: recordLife},
		Progress: func(text string) { fmt.Fprintln(s.err, plain(text, false)) },
		Confirm:  mayLeave(old, leave),
	}
	welcome, err := bootstrap.Join(ctx, invite, self)
	if err != nil {
		return nil, err
	}
	return welcome, set.home.moveIn(ctx, welcome)
}

// mayLeave refuses to leave a community that others share unasked. Joining the
// one that the node belongs to already is no leaving.
func mayLeave(old *mesh.Membership, leave bool) func(*bootstrap.Preview) error {
	return func(p *bootstrap.Preview) error {
		if old == nil || leave || old.Community.ID == p.Community.ID {
			return nil
		}
		return web.NewError("shared-community", fmt.Sprintf("this node belongs to %s already, which others share", old.Community.Name),
			"", "add --leave to leave it for "+p.Community.Name, nil)
	}
}

// countMembers counts who belongs to the community of a node that is off.
func countMembers(ctx context.Context, h home, m *mesh.Membership) (int, error) {
	if _, err := os.Stat(h.store(m.Community.Tag())); errors.Is(err, fs.ErrNotExist) {
		return 1, nil
	}
	st, err := store.Open(ctx, store.Config{Path: h.store(m.Community.Tag())})
	if err != nil {
		return 0, err
	}
	defer st.Close()
	book := roster.New(m.Community)
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindRoster}, Order: mesh.ReceiptFirst}
	for r, err := range st.Records(ctx, f, mesh.Self) {
		if err != nil {
			return 0, err
		}
		book.Apply(r.Event) // what does not hold does not count
	}
	return standing(book), nil
}

// moveIn makes a home belong to the community that welcomed it: first the
// roster goes into the new store, with the addresses of the inviting machine,
// then the membership file changes. A crash in between leaves the home where
// it was.
func (h home) moveIn(ctx context.Context, w *bootstrap.Welcome) error {
	path := h.store(w.Membership.Community.Tag())
	st, err := store.Open(ctx, store.Config{Path: path})
	if err != nil {
		return err
	}
	l := newLife(ctx)
	l.begin("store", st.Run)
	err = settleIn(ctx, st, w)
	if err := errors.Join(err, l.end(), st.Close()); err != nil {
		return err
	}
	return h.writeMembership(w.Membership)
}

// peersKey holds, on the shelf "wire", the underlay addresses to call at the
// next start beside the configured ones: the inviter's, and those that 'drey
// peers add' added.
const peersKey = "peers"

func settleIn(ctx context.Context, st *store.Store, w *bootstrap.Welcome) error {
	for _, e := range w.Events {
		r := &mesh.Record{Event: e, Topic: mesh.TopicRegistry, Received: time.Now(), Carrier: "invite"}
		if err := st.Save(ctx, r, nil, true); err != nil && !errors.Is(err, mesh.ErrDuplicate) {
			return err
		}
	}
	return st.Shelf("wire").Put(ctx, peersKey, []byte(strings.Join(underlays(w.Inviter), "\n")))
}

// underlays lists the URIs at which a node's underlay answers, with its key.
func underlays(r *mesh.PeerRecord) []string {
	var uris []string
	for _, e := range r.Endpoints {
		if e.Scheme.Underlay() {
			uris = append(uris, e.String()+"?key="+r.Node.String())
		}
	}
	return uris
}

// membersOf counts who belongs to the community that sent a welcome.
func membersOf(w *bootstrap.Welcome) int {
	book := roster.New(w.Membership.Community)
	for _, e := range w.Events {
		book.Apply(e) // what does not hold does not count
	}
	return standing(book)
}

// standing counts those on a roster who belong.
func standing(book *roster.Book) int {
	n := 0
	for _, m := range book.Members() {
		if m.Standing.Member() {
			n++
		}
	}
	return n
}
