package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpCommand explains a command, or a code that doctor named.
func (s *session) helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|CODE]",
		Short: "explain a command, or a code that doctor or status named",
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, c := range codes {
				names = append(names, c.name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if c, ok := explain(args[0]); ok {
					_, err := fmt.Fprintf(s.out, "%s\n\n%s\n", c.name, wrapped(c.text, 80))
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
