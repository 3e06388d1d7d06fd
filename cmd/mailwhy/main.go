// Command mailwhy tells a mail helpdesk why a message was rejected or
// deferred, which policy did it, and the narrowest change that lets the next
// one through.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"mailwhy/tui/quiet"
)

// gcPercent is GOGC, where nobody has set it.
const gcPercent = 200

func main() {
	quiet.Restore()
	if os.Getenv("GOGC") == "" { // reading logs makes much that soon is garbage, beside little that stays
		debug.SetGCPercent(gcPercent)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the one way in: the shell, the socket and the tests call it. It
// returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return runCommand(ctx, &session{stdin: stdin, stdout: stdout, stderr: stderr}, args)
}
