// Command drey is a node of a community's own network: it keeps and carries
// messages between machines, phones and radios, with or without an internet.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(realMain()) }

func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second ^C ends a slow goodbye
	go rest(ctx)
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
