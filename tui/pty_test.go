package tui

import (
	"context"
	"os"
	"testing"
	"time"

	"mailwhy/tui/quiet"
)

// TestMain is also the program that the pty tests and people run:
// MAILWHY_TUI_DEMO=1 go test ./tui shows the screens over made-up messages.
func TestMain(m *testing.M) {
	if os.Getenv("MAILWHY_TUI_DEMO") == "" {
		os.Exit(m.Run())
	}
	quiet.Restore()
	w := newWorld(samples(1200)...)
	w.sources = []SourceStatus{{Path: "/var/log/maillog", Format: "postfix", Lines: 123456, LastLine: noon}}
	o := options(w)
	o.Environ = os.Environ()
	o.Open = func(context.Context) (Services, error) { w.armed.Add(1); return Services{w, w, w, w}, nil }
	if os.Getenv("MAILWHY_TUI_DEMO") == "live" {
		go func() {
			for n := 2000; ; n++ {
				time.Sleep(3 * time.Second)
				w.arrive(sample(n, "live@acme.example", "bob@corp.example"))
			}
		}()
	}
	if err := Run(context.Background(), o, os.Stdin, os.Stdout); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		os.Exit(2)
	}
	os.Exit(0)
}
