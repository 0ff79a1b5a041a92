package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand explains a command, or a code that doctor named.
func (s *session) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|CODE|codes]",
		Short: "explain a command, or a code that doctor or status named; 'codes' lists them",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			names := []string{"codes"}
			return append(names, codes...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "codes" {
				return s.listCodes()
			}
			if len(args) == 1 {
				if text, ok := explain(args[0]); ok {
					_, err := fmt.Fprintf(s.out, "%s\n\n%s\n", args[0], wrapped(text, 80))
					return err
				}
			}
			command, rest, err := root.Find(args)
			if command == nil || err != nil || len(rest) > 0 {
				return failf(exitUsage, "'drey help' lists the commands, 'drey doctor' names the codes", "there is no command or code %q", strings.Join(args, " "))
			}
			return command.Help()
		},
	}
}

// listCodes lists every code with the first sentence of what it means.
func (s *session) listCodes() error {
	for _, c := range codes {
		text, _ := explain(c)
		first, _, _ := strings.Cut(text, ". ")
		first, _, _ = strings.Cut(first, ": ")
		text = strings.ReplaceAll(wrapped(strings.TrimSuffix(first, "."), 61), "\n", "\n"+fit("", 19))
		if _, err := fmt.Fprintf(s.out, "%-18s %s\n", c, text); err != nil {
			return err
		}
	}
	return nil
}
