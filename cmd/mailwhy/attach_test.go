package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// ownerProcess is `mailwhy serve` with a socket in a run folder and no SSH.
type ownerProcess struct {
	cmd    *exec.Cmd
	args   []string // of a command for the same folder
	log    string
	socket string
}

func startOwnerProcess(t *testing.T) *ownerProcess {
	t.Helper()
	o := &ownerProcess{}
	o.log, o.args = site(t, 30)
	o.socket = filepath.Join(filepath.Dir(o.log), "run", "mailwhy.sock")
	config, err := os.OpenFile(o.args[1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = fmt.Fprintf(config, "serve: {address: '', socket: %s}\n", o.socket); err != nil {
		t.Fatal(err)
	}
	if err := config.Close(); err != nil {
		t.Fatal(err)
	}
	o.cmd = exec.Command("mailwhy", append([]string{"serve"}, o.args...)...)
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // not to outlive a test that is killed
	o.cmd.Stderr = os.Stderr
	if err := o.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = o.cmd.Process.Kill() // mostly it has ended
		_ = o.cmd.Wait()
	})
	eventually(t, 30*time.Second, "the owner's socket", func() bool { // asked earlier, mailwhy would take the folder itself
		_, err := os.Stat(o.socket)
		return err == nil
	})
	eventually(t, 30*time.Second, "the owner answers", func() bool { return strings.Contains(o.mailwhy("search", "--json", "row29@"), `"total":1`) })
	return o
}

func (o *ownerProcess) mailwhy(args ...string) string {
	out, _ := exec.Command("mailwhy", append(args, o.args...)...).CombinedOutput() // what counts is what it says
	return string(out)
}

func (m *terminal) keys(keys string) {
	m.t.Helper()
	if _, err := m.file.WriteString(keys); err != nil {
		m.t.Fatal(err)
	}
}

// end waits until the program on the terminal has ended, and returns its status.
func (m *terminal) end() int {
	m.t.Helper()
	ended := make(chan struct{})
	go func() { _ = m.cmd.Wait(); close(ended) }() // its status is read below
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		m.t.Fatal("the program on the terminal goes on")
	}
	return m.cmd.ProcessState.ExitCode()
}

// Staff of the same host who type mailwhy share the owner's index, each on a
// terminal of their own, and leave it as they found it.
func TestAttach(t *testing.T) {
	o := startOwnerProcess(t)
	first, second := startTerminal(t, o.args...), startTerminal(t, o.args...)
	for _, m := range []*terminal{first, second} {
		m.until("row29@")
	}
	first.appended(o.log, 100)
	second.until("row100@")

	if err := pty.Setsize(first.file, &pty.Winsize{Cols: 200, Rows: 40}); err != nil {
		t.Fatal(err)
	}
	first.until(strings.Repeat(" ", 130)) // no line of the narrow frame has room for that

	first.keys("q")
	first.until("\x1b[?1049l")
	if status := first.end(); status != 0 {
		t.Errorf("left with status %d", status)
	}
	_ = second.file.Close()    // the second one's window is closed: its session ends
	second.refused(o.log, 101) // the window is only let go of when a read that waits has returned
	second.end()
	eventually(t, 20*time.Second, "both sessions are recorded with their ends", func() bool {
		return strings.Count(o.mailwhy("audit", "list"), " logout ") == 2
	})
	if out := o.mailwhy("audit", "list"); strings.Count(out, " login ") != 2 || !strings.Contains(out, "  admin  local") {
		t.Errorf("the audit of two sessions:\n%s", out)
	}
}

func TestAttachedTerminalIsToldOfTheEnd(t *testing.T) {
	o := startOwnerProcess(t)
	m := startTerminal(t, o.args...)
	m.until("row29@")
	if err := o.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	m.until("\x1b[?1049l")
	m.until("mailwhy is being stopped: start it again in a moment")
	if status := m.end(); status != exitError {
		t.Errorf("status %d", status)
	}
	if err := o.cmd.Wait(); err != nil {
		t.Errorf("the owner: %v", err)
	}

	o = startOwnerProcess(t)
	m = startTerminal(t, o.args...)
	m.until("row29@")
	if err := o.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.until("\x1b[?25h")
	m.until("\x1b[?1049l")
	m.until("the owner broke off")
	m.end()
	m = startTerminal(t, o.args...) // nobody has the folder: this one takes it
	m.until("row29@")
	m.keys("q")
	m.end()
}

// Who may not enter the data folder reaches its owner through the other socket.
func TestSocketBesideTheDataFolder(t *testing.T) {
	o := startOwnerProcess(t)
	info, err := os.Stat(o.socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Fatalf("%v, %v", info, err)
	}
	held := []byte(`{"pid":1,"user":"x","socket":"` + o.socket + `"}`)
	lock := filepath.Join(filepath.Dir(o.log), "data", "LOCK")
	if err := os.WriteFile(lock, held, 0o600); err != nil { // the lock names another socket
		t.Fatal(err)
	}
	if out := o.mailwhy("search", "--json", "row29@"); !strings.Contains(out, `"total":1`) {
		t.Errorf("through %s: %s", o.socket, out)
	}
	var out bytes.Buffer
	second := exec.Command("mailwhy", "serve", "--data", t.TempDir(), o.args[0], o.args[1])
	second.Stderr, second.SysProcAttr = &out, o.cmd.SysProcAttr
	if err := second.Run(); err == nil || !strings.Contains(out.String(), "another mailwhy answers there") {
		t.Errorf("a second owner on the same socket: %v, %s", err, out.String())
	}
}
