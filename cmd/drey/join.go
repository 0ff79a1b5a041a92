package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drey/bootstrap"
	"drey/configs"
	"drey/mesh"
	"drey/mesh/roster"
	"drey/store"
	"drey/web"
	"drey/web/lang"
	"drey/web/scan"
)

// A joining is one attempt to join.
type joining struct {
	invite *mesh.Invite // only an address where there is no invite
	name   string
	leave  bool
	yes    bool          // do not ask
	wait   time.Duration // for an admin's yes
	again  bool          // what it means has been told before
}

// askEvery is how often a machine that waits for an admin's yes asks again.
const askEvery = 4 * time.Second

func (s *session) joinCommand() *cobra.Command {
	var j joining
	wait := ""
	c := &cobra.Command{
		Use:   "join INVITE|IMAGE|ADDRESS|-",
		Short: "accept an invite: its text, an image of it, or - for standard input",
		Long: "join makes this node a member of the community that an invite is for. A community\n" +
			"of one is dissolved by that, and what was said in it stays on this machine; one\n" +
			"that others share is left only with --leave. Works while the node is off, too.\n\n" +
			"With '-' the invite's text or image comes from standard input, so that it stands\n" +
			"in no history and no list of processes: drey join - < invite.png\n\n" +
			"With the address of a member's page (http://192.168.1.10:3739) and no invite, join\n" +
			"asks to belong, and waits until an admin there says yes.",
		Args: cobra.ExactArgs(1),
		PreRunE: func(*cobra.Command, []string) (err error) {
			if j.wait, err = configs.ParseDuration(wait); err != nil {
				return usagef("--wait: %w", err)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			if j.invite, err = s.readInvite(args[0]); err != nil {
				return err
			}
			j.yes = j.yes || args[0] == "-" || !s.asks()
			if h.running() {
				return h.explain(s.joinRunning(c.Context(), h, j))
			}
			return s.joinStopped(c.Context(), h, j)
		},
	}
	c.Flags().BoolVar(&j.leave, "leave", false, "leave a community that others share")
	c.Flags().BoolVar(&j.yes, "yes", false, "do not ask")
	c.Flags().StringVar(&j.name, "name", "", "what neighbours see of a node that is off (default node.name, or the machine's name)")
	c.Flags().StringVar(&wait, "wait", "10m", "without an invite: how long to wait for an admin's yes")
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
	if scan.IsImage(b) {
		if text, err = readQR(b); err != nil {
			return nil, fmt.Errorf("%s: %w", arg, err)
		}
	} else if b != nil || arg == "-" {
		text = string(bytes.TrimSpace(b))
	}
	v, err := parseInvite(text)
	if err != nil && arg != "-" && b == nil && !strings.Contains(arg, "://") && strings.ContainsAny(arg, "./") {
		if info, err := os.Stat(arg); err == nil && !info.Mode().IsRegular() {
			return nil, failf(exitUsage, "name the file, or pipe it in: drey join - < FILE", "%s is no file", arg)
		}
		return nil, failf(exitNotFound, "name an image or a file with the invite, or give its text in quotes", "there is no file %s", arg)
	}
	if err != nil {
		return nil, failf(exitUsage, "make one with 'drey invite' on a machine of the community", "%w", err)
	}
	return v, nil
}

// parseInvite reads an invite, or the address of a page at which to ask.
func parseInvite(text string) (*mesh.Invite, error) {
	if strings.Contains(text, "://") && !strings.Contains(strings.ToUpper(text), "/J/") {
		door, err := mesh.ParseDoorLink(text)
		if err != nil {
			return nil, err
		}
		return &mesh.Invite{Endpoints: []mesh.Endpoint{door}}, nil
	}
	return mesh.ParseInvite(text)
}

// inviteText is what parseInvite reads again.
func inviteText(v *mesh.Invite) string {
	if v.Node == (mesh.NodeKey{}) {
		return mesh.PhoneLink(v.Endpoints[0])
	}
	return v.Link()
}

// joinRunning has the running node join. It makes its parts anew then.
func (s *session) joinRunning(ctx context.Context, h home, j joining) error {
	c := client(h)
	defer c.Close()
	request := web.JoinRequest{Invite: inviteText(j.invite), Leave: j.leave, Preview: true}
	preview, err := c.Join(ctx, request)
	if err != nil {
		return err
	}
	showEffects(s.err, preview.Effects)
	if !j.yes {
		if err := s.askYes(); err != nil {
			return err
		}
	}
	request.Preview = false
	return s.untilYes(ctx, j.wait, func(ctx context.Context) (waiting bool, err error) {
		joined, err := c.Join(ctx, request)
		if err != nil || joined.Waiting {
			return joined != nil && joined.Waiting, err
		}
		_, err = fmt.Fprintf(s.out, "joined %s (%s)\n", plain(joined.Now.Name, false), count(joined.Now.Members, "member"))
		return false, err
	})
}

// untilYes tries to join until an admin has said yes, or it has waited long
// enough.
func (s *session) untilYes(ctx context.Context, wait time.Duration, try func(context.Context) (waiting bool, err error)) error {
	within, stop := context.WithTimeout(ctx, wait)
	defer stop()
	for told := false; ; told = true {
		waiting, err := try(ctx)
		if err != nil || !waiting {
			return err
		}
		if !told {
			fmt.Fprintln(s.err, "asked; waiting for an admin's yes: 'drey members ls' there shows this machine, 'drey members admit NAME' lets it in")
		}
		if !pause(within, askEvery) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return failf(exitTimeout, "the request stands for a day: run the same command again when an admin has said yes", "no admin has said yes within %s", short(wait))
		}
	}
}

// joinStopped joins in the place of a node that is off, so that the next 'up'
// finds itself a member.
func (s *session) joinStopped(ctx context.Context, h home, j joining) error {
	conf, err := s.loadConfig(h, "", nil)
	if err != nil {
		return err
	}
	if j.name != "" {
		conf.Node.Name = j.name
	}
	set, _, release, err := h.claim(conf)
	if err != nil {
		return err
	}
	defer release()
	return s.untilYes(ctx, j.wait, func(ctx context.Context) (waiting bool, err error) {
		w, err := s.joinHome(ctx, set, j)
		if errors.Is(err, bootstrap.ErrWaiting) {
			if !j.again {
				fmt.Fprintf(s.err, "this machine is %s, %s\n", set.name, set.who.Author.PubKey().NPub())
			}
			j.again = true
			return true, nil
		}
		if err != nil {
			return false, err
		}
		fmt.Fprintf(s.out, "joined %s\n", plain(w.Membership.Community.Name, false))
		fmt.Fprintln(s.err, "'drey up' starts the node as a member")
		return false, nil
	})
}

// joinHome redeems an invite for a home whose node is off, which the caller
// has locked.
func (s *session) joinHome(ctx context.Context, set setup, j joining) (*bootstrap.Welcome, error) {
	old, err := set.home.readMembership()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	members := 0
	if old != nil {
		book, err := readRoster(ctx, set.home, old)
		if err != nil {
			return nil, err
		}
		members = max(1, standing(book))
	}
	may := mayLeave(old, j.leave || old != nil && members <= 1 && !old.Community.Open)
	self := &bootstrap.Self{
		Identity: set.who,
		Name:     set.name,
		Record:   mesh.PeerRecord{Lifetime: recordLife},
		Progress: func(text string) {
			if !j.again {
				fmt.Fprintln(s.err, plain(text, false))
			}
		},
		Confirm: func(p *bootstrap.Preview) error {
			if err := may(p); err != nil {
				return err
			}
			if j.again {
				return nil
			}
			showEffects(s.err, allEnglish(joinEffects(old, members, p, set.name, j.invite)))
			if j.yes {
				return nil
			}
			return s.askYes()
		},
	}
	welcome, err := bootstrap.Join(ctx, j.invite, self)
	if err != nil {
		return nil, err
	}
	return welcome, set.home.moveIn(ctx, welcome)
}

// joinEffects says what joining means, a sentence each.
func joinEffects(old *mesh.Membership, members int, p *bootstrap.Preview, name string, v *mesh.Invite) []lang.Phrase {
	var community any = p.Community.Name
	if p.Members > 0 {
		community = lang.Say("effects.join-size", "community", p.Community.Name, "n", p.Members)
	}
	key := "effects.join-invites"
	if v.Token == (mesh.InviteToken{}) {
		key = "effects.join-asks"
		if p.Community.Open {
			key = "effects.join-open"
		}
	}
	all := []lang.Phrase{lang.Say(key, "who", p.Inviter, "community", community)}
	if old != nil && old.Community.ID == p.Community.ID {
		return append(all, lang.Say("effects.join-same"))
	}
	all = append(all, lang.Say("effects.join-seen", "name", name))
	switch {
	case old == nil:
	case members <= 1 && !old.Community.Open:
		all = append(all, lang.Say("effects.join-dissolve", "community", old.Community.Name))
	default:
		all = append(all, lang.Say("effects.join-leave", "community", old.Community.Name))
	}
	return all
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

// readRoster reads who belongs to the community of a node that is off; nobody
// where it has not run yet.
func readRoster(ctx context.Context, h home, m *mesh.Membership) (*roster.Book, error) {
	book := roster.New(m.Community)
	if _, err := os.Stat(h.store(m.Community.Tag())); errors.Is(err, fs.ErrNotExist) {
		return book, nil
	}
	st, err := store.Open(ctx, store.Config{Path: h.store(m.Community.Tag())})
	if err != nil {
		return nil, err
	}
	defer st.Close()
	f := mesh.Filter{Kinds: []mesh.Kind{mesh.KindRoster}, Order: mesh.ReceiptFirst}
	for r, err := range st.Records(ctx, f, mesh.Self) {
		if err != nil {
			return nil, err
		}
		book.Apply(r.Event) // what does not hold does not count
	}
	return book, nil
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
// A link-local address means nothing without this machine's own zone; those are
// for the finders, which know the zones.
func underlays(r *mesh.PeerRecord) []string {
	var uris []string
	for _, e := range r.Endpoints {
		if host, err := netip.ParseAddr(e.Host); !e.Scheme.Underlay() || err == nil && host.IsLinkLocalUnicast() {
			continue
		}
		uris = append(uris, e.String()+"?key="+r.Node.String())
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
