package web

// CommandsIn finds the commands that a fix names.
func CommandsIn(fix string) []string { return commandsIn(fix) }
