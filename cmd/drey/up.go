package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"drey/configs"
	"drey/mesh"
	"drey/web"
)

// upFlags are what up and run take.
type upFlags struct {
	config, web, radio, name, join, open string
	underlay                             []string
	noLAN, once, leave                   bool
}

func (f *upFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "configuration `FILE` (default drey.toml in the home)")
	c.Flags().StringVar(&f.web, "web", "", "`ADDRESS` of page and API, such as :3739; port 0 picks a free one; none turns it off")
	c.Flags().StringArrayVar(&f.underlay, "underlay", nil, "`URI` at which other machines connect, such as tls://[::]:3740; none for no port")
	c.Flags().StringVar(&f.radio, "radio", "", "`DEVICE`: auto, a path, tcp://HOST:PORT, sim or none")
	c.Flags().BoolVar(&f.noLAN, "no-lan", false, "do not look for machines on the local network")
	c.Flags().StringVar(&f.name, "name", "", "what neighbours see (default node.name, or the machine's name)")
}

// apply puts the flags over a configuration.
func (f *upFlags) apply(c *configs.Config) {
	if f.web != "" {
		c.Web.Listen = f.web
	}
	if len(f.underlay) > 0 {
		c.Overlay.Listen = f.underlay
		if f.underlay[0] == "none" {
			c.Overlay.Listen = []string{}
		}
	}
	if f.radio != "" {
		c.Radio.Device = f.radio
	}
	if f.noLAN {
		c.Overlay.LAN = false
	}
	if f.name != "" {
		c.Node.Name = f.name
	}
}

func (s *session) upCommand() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "start the node here; at first run make one",
		Long: "up starts the node of this home and stays in the foreground until ^C. At first\n" +
			"run it makes the home, an identity, and a community of one; --join accepts an\n" +
			"invite instead, --open enters the open community of that name.",
		Args: cobra.NoArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			for name, value := range map[string]string{"join": f.join, "open": f.open} {
				if c.Flags().Changed(name) && value == "" {
					return usagef("--%s is empty", name) // a script's empty variable must not found a community
				}
			}
			if f.join != "" && f.open != "" {
				return usagef("--join and --open exclude each other")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := context.WithCancel(c.Context())
			defer stop()
			greet := s.greet
			return s.up(ctx, f, func(ctx context.Context, p *parts, first bool) error {
				err := greet(ctx, p, first)
				greet = s.greetAgain
				if f.once || err != nil {
					stop()
					return err
				}
				a := api{p}
				return s.narrate(ctx, a, a.look(ctx))
			})
		},
	}
	f.register(c)
	c.Flags().StringVar(&f.join, "join", "", "`INVITE` to accept first: its text, an image with its code, or - for standard input")
	c.Flags().BoolVar(&f.leave, "leave", false, "with --join: leave a community that others share")
	c.Flags().StringVar(&f.open, "open", "", "enter the open community of this `NAME`")
	c.Flags().BoolVar(&f.once, "once", false, "start, tell, and stop again")
	return c
}

func (s *session) runCommand() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "run",
		Short: "start the node for a service manager (sd_notify)",
		Long: "run starts the node as up does, without a word to people: it tells a service\n" +
			"manager when it is ready, keeps its watchdog quiet, and logs to standard error.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s.quiet = "warn"
			manager := newNotifier(s.getenv)
			defer manager.send("STOPPING=1")
			return s.up(c.Context(), f, func(ctx context.Context, p *parts, _ bool) error {
				if err := manager.send("READY=1\nSTATUS=" + p.name + " in " + p.membership.Community.Name); err != nil {
					p.log.Warn("service manager not told", "err", err)
				}
				manager.watch(ctx, func(ctx context.Context) error {
					c := client(p.home)
					defer c.Close()
					_, err := c.Status(ctx)
					return err
				})
				return nil
			})
		},
	}
	f.register(c)
	return c
}

// up runs the node of a home until ctx ends; greet is called each time it is
// up, first once more at the very first run of a home.
func (s *session) up(ctx context.Context, f upFlags, greet func(ctx context.Context, p *parts, first bool) error) error {
	h, err := s.home()
	if err != nil {
		return err
	}
	conf, err := s.loadConfig(h, f.config, f.apply)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	if err := s.setLevel(level, conf); err != nil {
		return err
	}
	set, first, release, err := h.claim(conf)
	if err != nil {
		return err
	}
	defer release()
	set.log = s.logger(level)
	set.clock, set.kept = machineClock(s.getenv)
	set.settings = newSettings(s, h, f)
	if err := s.belong(ctx, set, f); err != nil {
		return err
	}
	if err := s.refuseTwin(ctx, set); err != nil {
		return err
	}
	return s.live(ctx, set, f, level, func(ctx context.Context, p *parts) error {
		defer func() { first = false }()
		return greet(ctx, p, first)
	})
}

// claim makes a home where there is none, locks it and reads who lives there.
// It reports whether that was decided just now; the caller ends with release.
func (h home) claim(conf configs.Config) (set setup, first bool, release func(), err error) {
	if err := h.create(); err != nil {
		return setup{}, false, nil, err
	}
	unlock, err := h.lock()
	if err != nil {
		return setup{}, false, nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	seed, first, err := h.ensureSeed()
	if err != nil {
		return setup{}, false, nil, err
	}
	set = setup{home: h, conf: conf}
	if set.who, err = seed.Identity(); err != nil {
		return setup{}, false, nil, err
	}
	set.name, err = h.nodeName(conf)
	return set, first, unlock, err
}

// live runs one life after the other: joining another community, and a
// changed configuration, begin a new one.
func (s *session) live(ctx context.Context, set setup, f upFlags, level *slog.LevelVar, ready func(context.Context, *parts) error) (err error) {
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	var had *configs.Config // what worked, while a changed one has not come up
	sim := newSimulation(ctx, set.log.With("part", "ether"))
	defer func() { err = errors.Join(err, sim.end()) }()
	for {
		m, err := set.home.readMembership()
		if err != nil {
			return err
		}
		if set.dialRadio, err = sim.line(set.conf.Radio.Device == "sim"); err != nil {
			return err
		}
		p, again, err := s.oneLife(ctx, set, m, company{
			ready: func(ctx context.Context, p *parts) error {
				had = nil
				return ready(ctx, p)
			},
			reload: func(ctx context.Context, p *parts) error { return s.reloads(ctx, reload, p, f, level) },
		})
		if err != nil || !again {
			if err == nil || had == nil {
				return err
			}
			// Nobody may be near the machine: it goes on as it was.
			set.log.Error("the changed configuration does not start; the one before is used again", "err", err)
			set.conf, had = *had, nil
			continue
		}
		if p.next != nil {
			was := set.conf
			had, set.conf = &was, *p.next
			if set.name, err = set.home.nodeName(set.conf); err != nil {
				return err
			}
		}
		if port := p.web.Listening(); port != nil {
			set.conf.Web.Listen = keepPort(port.String(), set.conf.Web.Listen) // a port picked once stays
		}
	}
}

// oneLife wires the parts and runs them.
func (s *session) oneLife(ctx context.Context, set setup, m *mesh.Membership, c company) (p *parts, again bool, err error) {
	p, err = wire(ctx, set, m)
	if err != nil {
		return nil, false, err
	}
	again, err = p.run(ctx, c)
	return p, again, err
}

// setLevel sets what is logged: --log-level beats the configuration.
func (s *session) setLevel(level *slog.LevelVar, conf configs.Config) error {
	text := cmp.Or(s.logLevel, conf.Log.Level, s.quiet)
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return usagef("--log-level %q is not one of debug, info, warn, error", text)
	}
	return nil
}

// nodeName is what neighbours see: the configured name, else the one that the
// home had before, else the machine's.
func (h home) nodeName(conf configs.Config) (string, error) {
	b, err := os.ReadFile(h.path("name"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", homeFault(h, err)
	}
	had := strings.TrimSpace(string(b))
	name := conf.Node.Name
	if name == "" {
		name = had
	}
	if name == "" {
		name, _ = os.Hostname()
	}
	if mesh.CheckName(name) != nil {
		name = "drey"
	}
	if name == had {
		return name, nil
	}
	if err := writeFile(h.path("name"), []byte(name+"\n"), 0o600, true); err != nil {
		return "", homeFault(h, err)
	}
	return name, nil
}

// listenPatience bounds how long the greeting waits for the overlay's ports.
const listenPatience = 1500 * time.Millisecond

// greet tells the person at the terminal what is running and what to do next,
// and then what changes.
func (s *session) greet(ctx context.Context, p *parts, first bool) error {
	waiting, stop := context.WithTimeout(ctx, listenPatience)
	p.overlay.Host(waiting) // its ports are open then; without them there is less to tell
	stop()
	c := client(p.home)
	defer c.Close()
	st, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(s.out, greeting(st, p.home, first)); err != nil {
		return err
	}
	if len(st.Web.URLs) > 0 && !strings.Contains(st.Web.URLs[0], "//127.") {
		if terminal(s.out) {
			if err := writeQR(s.out, strings.ToUpper(st.Web.URLs[0])); err != nil {
				return err
			}
		}
		fmt.Fprintf(s.out, "phones on this network open %s\n\n", st.Web.URLs[0])
	}
	_, err = io.WriteString(s.out, nextCommands(p.membership.Community.Open || p.book.Standing(p.who.Author.PubKey(), p.clock()) >= mesh.Admin))
	return err
}

// greetAgain tells that the node's parts were made anew, and what is different.
func (s *session) greetAgain(ctx context.Context, p *parts, _ bool) error {
	_, err := fmt.Fprintf(s.out, "%s started anew: %s, in the community %s\n", time.Now().Format("15:04"), plain(p.name, false), plain(p.membership.Community.Name, false))
	return err
}

func greeting(st *web.Status, h home, first bool) string {
	var b strings.Builder
	line := func(name, text string) { fmt.Fprintf(&b, "  %-10s %s\n", name, plain(text, false)) }
	began := "drey is up"
	if first {
		began = "drey is up for the first time"
	}
	fmt.Fprintf(&b, "%s, in %s\n\n", began, h)
	line("node", st.Node.Name)
	line("identity", st.Node.NPub)
	alone := ""
	if st.Community.Members == 1 && !st.Community.Open {
		alone = ", alone until somebody joins"
	}
	line("community", communityName(st.Community)+" ("+count(st.Community.Members, "member")+alone+")")
	line("address", st.Node.Address)
	for i, uri := range st.Overlay.Listen {
		uri = bareURI(uri)
		name := ""
		if i == 0 {
			name = "reached at"
		}
		line(name, uri)
	}
	line("radio", radioLine(st.Radio))
	up := 0
	for _, p := range st.Overlay.Peers {
		if p.Up {
			up++
		}
	}
	peers := "none yet"
	if up > 0 {
		peers = count(up, "link") + " up, " + count(st.PubSub.Peers, "machine") + " of the community in contact"
	}
	line("peers", peers)
	for i, u := range st.Web.URLs {
		name := ""
		if i == 0 {
			name = "page"
		}
		line(name, u)
	}
	for _, pr := range st.Problems {
		line("problem", pr.What+" (drey help "+pr.Code+")")
	}
	b.WriteString("\n")
	return b.String()
}

// nextCommands shows what to try; only some may invite.
func nextCommands(invites bool) string {
	invite := ""
	if invites {
		invite = "  drey invite                   let another machine join\n"
	}
	return "in another terminal:\n" +
		"  drey sub                      read what people write\n" +
		"  drey pub commons 'hello'      write\n" +
		invite +
		"  drey status                   how it all fares\n" +
		"^C stops the node.\n"
}

// problemsEvery is how often narrate looks for problems of the machine.
const problemsEvery = 15 * time.Second

// narrate tells in words what changes since the last look, until ctx ends. The
// whole status costs some hundred times as much as a glance: asked for every
// second, it was most of what an idle node does.
func (s *session) narrate(ctx context.Context, a api, last web.Status) error {
	looked := time.Now()
	for pause(ctx, watchEvery) {
		st := a.glance()
		st.Problems = last.Problems
		if time.Since(looked) >= problemsEvery || len(changes(&last, &st)) > 0 {
			looked = time.Now()
			if whole, err := a.Status(ctx); err == nil {
				st = whole
			}
		}
		for _, line := range changes(&last, &st) {
			if _, err := fmt.Fprintf(s.out, "%s %s\n", time.Now().Format("15:04"), plain(line, false)); err != nil {
				return err
			}
		}
		last = st
	}
	return nil
}

// changes says what is different between two looks at a node.
func changes(a, b *web.Status) []string {
	var lines []string
	was := map[string]bool{}
	for _, p := range a.Overlay.Peers {
		was[p.URI] = p.Up
	}
	is := map[string]bool{}
	for _, p := range b.Overlay.Peers {
		is[p.URI] = p.Up
		if p.Up && !was[p.URI] {
			lines = append(lines, "linked with "+p.URI+" ("+p.Source+")")
		}
	}
	for _, p := range a.Overlay.Peers {
		if p.Up && !is[p.URI] {
			lines = append(lines, "lost the link with "+p.URI)
		}
	}
	if a.PubSub.Peers != b.PubSub.Peers {
		lines = append(lines, count(b.PubSub.Peers, "machine")+" of the community in contact")
	}
	if a.Community.Members != b.Community.Members {
		lines = append(lines, "the community has "+count(b.Community.Members, "member")+" now")
	}
	if a.Radio.State != b.Radio.State {
		lines = append(lines, "radio: "+radioLine(b.Radio))
	}
	for _, p := range b.Problems {
		known := false
		for _, q := range a.Problems {
			known = known || q.Code == p.Code
		}
		if !known {
			lines = append(lines, "problem: "+p.What+" (drey help "+p.Code+")")
		}
	}
	return lines
}
