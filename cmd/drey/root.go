package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// A session is one run of the command: its streams and what every subcommand
// takes.
type session struct {
	in       io.Reader
	out, err io.Writer
	environ  []string

	homeDir  string // --home
	logLevel string // --log-level
	quiet    string // the log level where nobody has chosen one
	began    bool   // a subcommand's own code has begun: what fails now is not usage
}

// run is the whole command; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s := &session{in: stdin, out: stdout, err: stderr, environ: os.Environ(), quiet: "error"}
	root := s.root()
	root.SetArgs(args)
	var unknown error
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		words := c.Flags().Args()
		if unknown = nil; c.HasSubCommands() && len(words) > 0 {
			unknown = c.ValidateArgs(words) // cobra would help with what there is instead
		}
		if unknown == nil {
			help(c, args)
		}
	})
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = unknown
	}
	if err != nil && !s.began {
		err = usage(root, args, err)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = failf(exitError, "", "interrupted") // ^C before there was anything to end well
	}
	return report(stderr, err)
}

// usage makes a fault of what is wrong with the command line.
func usage(root *cobra.Command, args []string, err error) error {
	command, _, findErr := root.Find(args)
	if findErr != nil || command == nil {
		command = root
	}
	hint := "run '" + command.CommandPath() + " --help'"
	if near := suggest(command); near != "" {
		hint = "did you mean '" + command.CommandPath() + " " + near + "'? " + hint
	}
	return failf(exitUsage, hint, "%w", err)
}

// suggest returns the subcommand that a mistyped first word comes closest to,
// or nothing.
func suggest(command *cobra.Command) string {
	for _, word := range command.Flags().Args() {
		if !command.HasSubCommands() {
			continue
		}
		command.SuggestionsMinimumDistance = 2 // letters
		if near := command.SuggestionsFor(word); len(near) > 0 && !slices.Contains(near, word) {
			return near[0]
		}
	}
	return ""
}

// fitting makes the flags of every command's help fit a plain terminal.
func fitting(root *cobra.Command) {
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages |", "Flags.FlagUsagesWrapped 80 |"))
}

func (s *session) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "drey",
		Short: "a community's own network: messages between machines, phones and radios",
		Long: "drey keeps and carries a community's messages between machines, phones and LoRa\n" +
			"radios, with or without an internet. 'drey up' starts a node, at first run too.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			s.began = true
		},
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.PersistentFlags().StringVar(&s.homeDir, "home", "", "`FOLDER` of the node (default $DREY_HOME, or $XDG_STATE_HOME/drey)")
	root.PersistentFlags().StringVar(&s.logLevel, "log-level", "", "`LEVEL`: debug, info, warn or error")
	root.AddGroup(
		&cobra.Group{ID: "node", Title: "The node:"},
		&cobra.Group{ID: "talk", Title: "Messages:"},
		&cobra.Group{ID: "community", Title: "The community:"},
		&cobra.Group{ID: "keep", Title: "Keeping and checking:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("node", s.upCommand(), s.runCommand(), s.demoCommand(), s.statusCommand(), s.uiCommand(), s.peersCommand(), s.radioCommand(), s.relaysCommand())
	add("talk", s.pubCommand(), s.subCommand(), s.dmCommand(), s.inboxCommand(), s.logCommand())
	add("community", s.inviteCommand(), s.joinCommand(), s.membersCommand())
	add("keep", s.doctorCommand(), s.exportCommand(), s.importCommand(), s.backupCommand(), s.restoreCommand(), s.configCommand(), s.idCommand(), s.versionCommand())
	root.SetHelpCommand(s.helpCommand(root))
	root.SetHelpCommandGroupID("keep")
	root.SetCompletionCommandGroupID("keep")
	teach(root)
	fitting(root)
	return root
}

// getenv reads one variable of the session's environment.
func (s *session) getenv(name string) string {
	for _, line := range s.environ {
		if len(line) > len(name) && line[:len(name)] == name && line[len(name)] == '=' {
			return line[len(name)+1:]
		}
	}
	return ""
}

// home returns the node's folder, which need not exist.
func (s *session) home() (home, error) {
	dir := s.homeDir
	if dir == "" {
		dir = s.getenv("DREY_HOME")
	}
	if dir == "" {
		if state := s.getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
			dir = filepath.Join(state, "drey")
		} else if user := s.getenv("HOME"); user != "" {
			dir = filepath.Join(user, ".local", "state", "drey")
		} else {
			return "", failf(exitUsage, "use --home FOLDER", "there is no home folder: HOME is not set")
		}
	}
	return home(filepath.Clean(dir)), nil
}

// logger writes to standard error: coloured on a terminal, logfmt elsewhere.
func (s *session) logger(level slog.Leveler) *slog.Logger {
	if f, ok := s.err.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(tint.NewTextHandler(f, &tint.Options{Level: level, TimeFormat: "15:04:05"}))
	}
	return slog.New(slog.NewTextHandler(s.err, &slog.HandlerOptions{Level: level}))
}

// terminal reports whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
