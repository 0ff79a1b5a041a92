package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"drey/configs"
)

// loadConfig reads the node's configuration: the file named, or drey.toml in
// the home when it is there, and the environment over it. apply puts flags on
// top; it may be nil.
func (s *session) loadConfig(h home, file string, apply func(*configs.Config)) (configs.Config, error) {
	if file == "" {
		if _, err := os.Stat(h.config()); err == nil {
			file = h.config()
		} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
			return configs.Config{}, configFault(err)
		}
	}
	c, err := configs.Load(file, s.environ)
	if err != nil {
		return configs.Config{}, configFault(err)
	}
	if apply != nil {
		apply(&c)
	}
	if err := c.Check(file, s.environ); err != nil {
		return configs.Config{}, configFault(err)
	}
	return c, nil
}

// configFault reports every fault of a configuration under one heading.
func configFault(err error) error {
	hint := "'drey config example' shows every key, 'drey config check' tells when all is well"
	if gone, ok := errors.AsType[*fs.PathError](err); ok && errors.Is(err, fs.ErrNotExist) {
		return failf(exitConfig, "check the path; 'drey config example' writes a file to begin with", "configuration: there is no file %s", gone.Path)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) == 1 {
		return failf(exitConfig, hint, "configuration: %w", err)
	}
	return failf(exitConfig, hint, "configuration:\n  %s", strings.Join(lines, "\n  "))
}

func (s *session) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "check, show or write a configuration"}
	file := ""
	check := &cobra.Command{
		Use:   "check [FILE]",
		Short: "tell the faults of a file (default drey.toml in the home)",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if file != "" && file != args[0] {
					return usagef("two files are named, %s and %s", args[0], file)
				}
				file = args[0]
			}
			if _, err := s.loadConfig(h, file, nil); err != nil {
				return err
			}
			if file == "" {
				if _, err := os.Stat(h.config()); err == nil {
					file = h.config()
				}
			}
			if file == "" {
				fmt.Fprintf(s.out, "there is no file; the defaults are good\n")
				return nil
			}
			fmt.Fprintf(s.out, "%s is good\n", file)
			return nil
		},
	}
	check.Flags().StringVar(&file, "config", "", "the same as FILE")
	show := &cobra.Command{
		Use:   "show",
		Short: "what a node would use: file, environment and defaults together",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			h, err := s.home()
			if err != nil {
				return err
			}
			conf, err := s.loadConfig(h, file, nil)
			if err != nil {
				return err
			}
			_, err = s.out.Write(conf.TOML())
			return err
		},
	}
	show.Flags().StringVar(&file, "config", "", "configuration file")
	example := &cobra.Command{
		Use:   "example [ROLE]",
		Short: "a file with every key explained, for one of several roles",
		Long: "example writes a configuration file with every key explained. The roles:\n" +
			strings.Join(roleNames(), ", ") + ".",
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			role := "home"
			if len(args) == 1 {
				role = args[0]
			}
			b, err := configs.Example(role)
			if err != nil {
				return failf(exitNotFound, "", "%w", err)
			}
			_, err = s.out.Write(b)
			return err
		},
		ValidArgs: roleNames(),
	}
	c.AddCommand(check, show, example)
	return group(c)
}

func roleNames() []string {
	var names []string
	for _, r := range configs.Roles() {
		names = append(names, r.Name)
	}
	return names
}

// group makes a command that only holds others answer a missing or unknown
// word as a fault of usage.
func group(c *cobra.Command) *cobra.Command {
	c.Args = func(c *cobra.Command, args []string) error {
		var words []string
		for _, sub := range c.Commands() {
			words = append(words, sub.Name())
		}
		if len(args) == 0 {
			return fmt.Errorf("%s needs one of %s", c.CommandPath(), strings.Join(words, ", "))
		}
		return fmt.Errorf("unknown command %q for %q, there are %s", args[0], c.CommandPath(), strings.Join(words, ", "))
	}
	c.RunE = func(*cobra.Command, []string) error { return nil }
	return c
}
