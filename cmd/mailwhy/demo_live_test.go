package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRealPostfixDemoLive is the loop of `demo --live` as a person sees it on
// 80x24: a real rejection appears, b and a ticket, and the next real message is
// accepted. Killed, it leaves no process and no file behind.
func TestRealPostfixDemoLive(t *testing.T) {
	needPostfix(t)
	m := startTerminal(t, "demo", "--live")
	m.patience = 2 * time.Minute // a whole mail server starts
	m.until("alice@vendor.example")
	m.press("\r")
	m.until("Certain.")
	m.press("b")
	m.until("would have let in")
	m.press("T-4711")
	m.until("T-4711")
	m.press("\t\t\t\r") // past Reason and Cancel
	m.until("is made")
	m.press("\x1b")
	m.until("delivered")

	family := familyOf(t, m.cmd.Process.Pid)
	if len(family) < 5 {
		t.Fatalf("the demo has processes %v: Postfix is not among them", family)
	}
	must(t, m.cmd.Process.Kill())
	eventually(t, 20*time.Second, "every process of the demo has ended", func() bool {
		for _, pid := range family {
			if state, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat")); err == nil && !strings.Contains(string(state), ") Z ") {
				return false
			}
		}
		return true
	})
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "mailwhy-demo*")); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

// press sends keys.
func (m *terminal) press(keys string) {
	m.t.Helper()
	if _, err := m.file.WriteString(keys); err != nil {
		m.t.Fatal(err)
	}
}

// familyOf lists a process and all that come of it.
func familyOf(t *testing.T, root int) []int {
	t.Helper()
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it ended meanwhile
		}
		_, after, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(after)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, err := strconv.Atoi(fields[1])
		must(t, err)
		children[parent] = append(children[parent], pid)
	}
	family := []int{root}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}
