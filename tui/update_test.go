package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/exception"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

// selected is the id of the row under the pointer.
func (p *program) selected() string {
	row, _ := p.root.list.table.Selected()
	return row.ID
}

// shows fails the test unless the screen has the text.
func (p *program) shows(text string) {
	p.t.Helper()
	if !strings.Contains(p.root.View(), text) {
		p.t.Fatalf("%q is not on the screen:\n%s", text, p.root.View())
	}
}

func (p *program) lacks(text string) {
	p.t.Helper()
	if strings.Contains(p.root.View(), text) {
		p.t.Fatalf("%q is on the screen:\n%s", text, p.root.View())
	}
}

// The new set may reach the screen before Create has answered: what was before
// the exception is still what was before it.
func TestBeforeIsWhatWasBefore(t *testing.T) {
	p := newProgram(t, newWorld(samples(30)...), 100, 30)
	p.w.created = func() { p.run(p.root.everyone(policyMsg{})) }
	p.keys("enter", "b", "T-42", "enter", "enter", "right", "enter")
	p.shows("BEFORE    rejected at RCPT by P-007")
	p.shows("AFTER     accepted")
}

// The minute of a ticket: find it, read why, bypass it, see what changed, undo.
func TestTheUsersMinute(t *testing.T) {
	p := newProgram(t, newWorld(samples(30)...), 100, 30)
	p.shows("30 of 30")
	p.shows("P-007 Vendor block")
	p.keys("enter")
	p.shows(`Blocked by policy P-007 "Vendor block"`)
	p.shows("The log agrees. Certain.")
	p.shows("lets in 3 like it, 3 never scanned")
	p.keys("b")
	p.shows("Bypass: Take No Action")
	p.shows("3 never scanned")
	p.keys("T-42", "enter", "enter")
	p.shows("▸[ Cancel ]")
	p.keys("right", "enter")
	p.shows("Exception 1 is made")
	p.shows("BEFORE    rejected at RCPT by P-007")
	p.shows("AFTER     accepted")
	p.shows("Blocked Sender Policy: Take No Action")
	p.keys("u")
	p.shows("Exception 1 is revoked")
	p.lacks("AFTER")
	if n := p.w.stray.Load(); n != 0 {
		t.Errorf("%d calls of a service outside a command", n)
	}
}

func TestEntersAloneMakeNothing(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24)
	p.keys("b", "enter", "enter", "enter", "enter", "enter", "enter")
	p.keys("esc", "esc", "b", "b", "b", "b", "T-1", "enter", "enter", "enter")
	if len(p.w.made) != 0 {
		t.Errorf("made without the button: %v", p.w.made)
	}
}

func TestTicketIsRequired(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24)
	p.keys("b", "tab", "tab", "tab", "enter")
	p.shows("A ticket is required.")
	if len(p.w.made) != 0 {
		t.Error("made without a ticket")
	}
}

// A key held down opens one sheet and does not end up in the ticket.
func TestOpeningKeyIsNotTyped(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24)
	p.keys("bbbb")
	sh := p.root.top().(*sheet)
	if got := sh.value(partTicket); got != "" {
		t.Errorf("the ticket is %q", got)
	}
	p.keys("Tb-1")
	if got := sh.value(partTicket); got != "Tb-1" {
		t.Errorf("the ticket is %q", got)
	}
}

func TestRefusalIsASentence(t *testing.T) {
	w := newWorld(samples(3)...)
	w.refuse = "operators may free one address for one recipient"
	p := newProgram(t, w, 80, 24)
	p.keys("b", "T-1")
	p.shows("Operators may free one address for one recipient.")
	p.keys("tab", "tab", "right", "enter")
	p.shows("Not made: operators may free one address for one recipient.")
	if _, ok := p.root.top().(*sheet); !ok {
		t.Error("the sheet closed over the refusal")
	}
}

func TestScopeChoices(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24)
	p.keys("b")
	sh := p.root.top().(*sheet)
	p.keys("up", "up", "up", "up", "up", "right")
	if got := sh.proposal().Scope.From; got != "domain" {
		t.Errorf("from is %q", got)
	}
	p.keys("left", "down", "right")
	if got := sh.proposal().Scope; got.From != "sender" || got.To != "all" {
		t.Errorf("scope is %+v", got)
	}
}

func TestViewersMakeNothing(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24, func(o *Options) { o.User.Role = exception.Viewer })
	p.lacks("bypass")
	p.keys("b", "p", "m", "r", "u")
	if len(p.root.stack) != 0 {
		t.Error("a viewer got a sheet")
	}
	p.keys("enter", "enter")
	p.shows("Only operators make exceptions.")
}

func TestSearchAsYouType(t *testing.T) {
	p := newProgram(t, newWorld(samples(30)...), 80, 24)
	p.keys("/", "ctrl+u", "lists")
	if got := p.root.list.text; got != "lists" {
		t.Errorf("searched for %q before enter", got)
	}
	p.keys("enter")
	if p.root.list.editing {
		t.Error("enter left the query line in use")
	}
	p.keys("/", "x", "esc")
	if got := p.root.list.text; got != "lists" {
		t.Errorf("esc left the query as %q", got)
	}
	p.keys("esc")
	if got := p.root.list.text; got != defaultQuery {
		t.Errorf("the second esc left the query as %q", got)
	}
	p.keys("esc", "esc", "esc")
	if p.quit {
		t.Error("esc quits")
	}
	p.keys("q")
	if !p.quit {
		t.Error("q does not quit from the root screen")
	}
}

// Each key cancels the search of the text before it, and what comes late for
// an old text is dropped.
func TestOldSearchesAreCancelledAndDropped(t *testing.T) {
	w := newWorld(samples(5)...)
	p := newProgram(t, w, 80, 24)
	var contexts []context.Context
	w.page = func(ctx context.Context, q index.Query) error { contexts = append(contexts, ctx); return nil }
	cmd := p.root.list.submit("one")
	for _, c := range cmd().(tea.BatchMsg)[:1] {
		late := c()
		p.root.list.typed()
		if len(contexts) != 1 || contexts[0].Err() == nil {
			t.Error("typing did not cancel the search under way")
		}
		before := p.root.list.table.Rows()
		stale := late.(pageMsg)
		stale.page.Rows = []mail.Message{sample(9999, "late@x.example", "b@corp.example")}
		p.send(stale)
		if diff := cmp.Diff(before, p.root.list.table.Rows()); diff != "" {
			t.Errorf("a late page was taken:\n%s", diff)
		}
	}
	p.send(totalMsg{routed{p.root.list.id}, p.root.list.task.gen - 1, index.Total{Count: 77}, nil})
	if p.root.list.total.Count == 77 {
		t.Error("a late total was taken")
	}
}

// change makes the list look at what is new, as the watching command would.
func (p *program) change(rows ...mail.Message) {
	for _, m := range rows {
		p.w.arrive(m)
	}
	p.root.list.live.running = false
	p.send(changedMsg{routed{p.root.list.id}})
}

func TestSelectionStaysWhileRowsArrive(t *testing.T) {
	p := newProgram(t, newWorld(samples(50)...), 80, 24)
	p.keys("j", "j")
	id, line := p.selected(), p.root.list.table.Cursor()-p.root.list.table.Offset()
	for n := 100; n < 105; n++ {
		p.change(sample(n, "new@acme.example", "bob@corp.example"))
	}
	if p.selected() != id {
		t.Errorf("the selection went from %s to %s", id, p.selected())
	}
	if got := p.root.list.table.Cursor() - p.root.list.table.Offset(); got != line {
		t.Errorf("the row jumped from line %d to %d", line, got)
	}
	p.shows("5 new ↑")
	p.keys("g")
	p.shows("new@acme.example")
	p.lacks("new ↑")
}

// While nobody has moved, the newest row is in sight at once.
func TestNewestRowIsVisible(t *testing.T) {
	p := newProgram(t, newWorld(samples(50)...), 80, 24)
	id := p.selected()
	p.change(sample(200, "fresh@acme.example", "bob@corp.example"))
	p.shows("fresh@acme.example")
	p.shows("1 new ↑")
	if p.selected() != id {
		t.Error("the selection went to the new row")
	}
}

func TestRowsThatChangeAreShownChanged(t *testing.T) {
	w := newWorld(samples(50)...)
	p := newProgram(t, w, 80, 24)
	p.keys("j")
	w.rows[3].Outcome = mail.Expired
	p.change()
	p.shows("expired")
	if n := len(p.root.list.table.Rows()); n != 50 {
		t.Errorf("%d rows, want 50", n)
	}
}

func TestPagesFollow(t *testing.T) {
	p := newProgram(t, newWorld(samples(450)...), 80, 24)
	for range 30 {
		p.keys("G")
	}
	rows := p.root.list.table.Rows()
	if len(rows) != 450 {
		t.Fatalf("%d rows loaded, want 450", len(rows))
	}
	for i := range rows[1:] {
		if rows[i].ID <= rows[i+1].ID {
			t.Fatalf("row %d is out of order", i)
		}
	}
}

// Only the rows on the screen are replayed.
func TestOnlyVisibleRowsAreReplayed(t *testing.T) {
	p := newProgram(t, newWorld(samples(450)...), 80, 24)
	if n := len(p.root.list.verdicts.known); n > 30 {
		t.Errorf("%d rows were replayed for a screen of 24 lines", n)
	}
}

func TestNothingFoundSaysHowManyAreOlder(t *testing.T) {
	p := newProgram(t, newWorld(), 80, 24)
	p.shows("12 older messages do")
	p.keys("w")
	if got := p.root.list.text; got != "since:30d" {
		t.Errorf("w searched for %q", got)
	}
}

func TestWiden(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := widen(in); got != want {
			t.Errorf("widen(%q) = %q, want %q", in, got, want)
		}
	}
	f("", "since:30d")
	f("acme", "since:30d acme")
	f("since:7d acme", "since:30d acme")
	f("acme since:30d is:rejected", "acme since:365d is:rejected")
	f("since:365d", "since:3650d")
	f("since:3650d", "since:3650d")
	f("since:2026-01-01", "since:365d")
}

func TestMessagesOneAfterTheOther(t *testing.T) {
	p := newProgram(t, newWorld(samples(10)...), 80, 24)
	p.keys("enter", "J", "J")
	if d := p.root.top().(*detail); d.m.ID != p.selected() || p.root.list.table.Cursor() != 2 {
		t.Errorf("the message is %s, the row %s", d.m.ID, p.selected())
	}
	p.keys("K", "K", "K")
	p.shows("1 of 10")
	p.keys("esc")
	if len(p.root.stack) != 0 {
		t.Error("esc does not go back to the list")
	}
}

// TestLetInLater: a message that was deferred and came again needs nothing done.
func TestLetInLater(t *testing.T) {
	m := samples(1)[0]
	m.Outcome, m.Last = mail.Delivered, m.Time.Add(9*time.Minute)
	p := newProgram(t, newWorld(m), 80, 24)
	p.keys("enter")
	p.shows("nothing: it was delivered after 9")
}

func TestRevokeAsksFirst(t *testing.T) {
	w := newWorld(samples(3)...)
	p := newProgram(t, w, 80, 24)
	p.keys("b", "T-1", "tab", "tab", "right", "enter", "2")
	p.shows("T-1")
	p.keys("enter")
	p.shows("Blocked Sender Policy: Take No Action")
	p.keys("x", "x", "x", "enter")
	if len(w.made) != 1 {
		t.Fatal("revoked by the key that asked, or by the default button")
	}
	p.keys("u", "tab", "enter")
	if len(w.made) != 0 {
		t.Error("not revoked")
	}
	p.shows("Exception 1 is revoked")
}

func TestServicesThatDoNotCome(t *testing.T) {
	p := newProgram(t, newWorld(), 80, 24, func(o *Options) {
		o.Open = func(context.Context) (Services, error) {
			return Services{}, fmt.Errorf("another mailwhy (pid 12) has the data folder")
		}
	})
	p.shows("another mailwhy (pid 12) has the data folder")
	p.keys("/", "a", "enter", "w", "g", "b", "2", "3", "u", "?", "esc")
}

func TestToastsFade(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24)
	p.root.say("first")
	seq := p.root.status.seq
	p.root.say("second")
	p.send(fadeMsg{seq})
	p.shows("second")
	p.send(fadeMsg{p.root.status.seq})
	p.lacks("second")
}

func TestTooSmall(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 40, 10)
	if got := p.root.View(); strings.Contains(got, "\n") || !strings.Contains(got, "mailwhy needs 50 x 14") {
		t.Errorf("%q", got)
	}
	p.send(tea.WindowSizeMsg{Width: 80, Height: 24})
	p.shows("Messages")
}

func TestSessionZone(t *testing.T) {
	p := newProgram(t, newWorld(samples(3)...), 80, 24, func(o *Options) { o.Location = time.FixedZone("CET", 3600) })
	p.shows("13:04:31 CET")
	p.shows("12:04:34")
}
