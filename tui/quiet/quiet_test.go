package quiet_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"mailwhy/tui/quiet"
)

// The test runs itself with and without the variable: what Restore leaves must
// be what the process was given.
func TestRestore(t *testing.T) {
	if os.Getenv("QUIET_TEST") != "" {
		os.Stdout.WriteString("muted=" + os.Getenv("CI"))
		quiet.Restore()
		value, set := os.LookupEnv("CI")
		os.Stdout.WriteString(" restored=" + value)
		if set {
			os.Stdout.WriteString(" set")
		}
		os.Exit(0)
	}
	f := func(want string, env ...string) {
		t.Helper()
		cmd := exec.Command(os.Args[0], "-test.run=TestRestore")
		cmd.Env = append(env, "QUIET_TEST=1")
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%v: %q, want %q (%v)", env, out, want, err)
		}
	}
	f("muted=1 restored=")
	f("muted=1 restored= set", "CI=")
	f("muted=true restored=true set", "CI=true")
}
