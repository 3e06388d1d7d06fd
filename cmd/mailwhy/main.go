// Command mailwhy tells a mail helpdesk why a message was rejected or deferred.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the one way in: the shell, the socket and the tests call it. It
// returns the exit status: 0 found, 1 nothing found, 2 error.
func run(_ context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 1 && args[0] == "version" {
		fmt.Fprintln(stdout, "mailwhy")
		return 0
	}
	fmt.Fprintln(stderr, "mailwhy: no such command")
	return 2
}
