package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mailwhy/tui/quiet"
)

// TestMain makes the program a command of the scripts: the same run as the
// shell's. crowd is one of TestServeLoad.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"crowd": crowd,
		"mailwhy": func() {
			quiet.Restore()
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
			stop()
			os.Exit(status)
		},
	})
}

var updateScripts = flag.Bool("update-scripts", false, "write what the scripts compare with anew")

// TestScripts runs what a person would type; see testdata/script.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, UpdateScripts: *updateScripts, Cmds: map[string]func(*testscript.TestScript, bool, []string){"until": until, "api": api}, Setup: func(e *testscript.Env) error {
		e.Setenv("HOME", e.WorkDir)
		return nil
	}})
}

// until repeats a command until its output matches: until PATTERN COMMAND...
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until pattern command...")
	}
	pattern, err := regexp.Compile(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(15 * time.Second); ; {
		_ = ts.Exec(args[1], args[2:]...) // what counts is what it says
		if out := ts.ReadFile("stdout"); pattern.MatchString(out) {
			return
		} else if time.Now().After(deadline) {
			ts.Fatalf("%v never said %s; last: %s", args[1:], args[0], out)
		}
	}
}
