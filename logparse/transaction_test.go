package logparse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"mailwhy/engine/mail"
)

// TestTableAgainstMap does the same random work with a table and with a map.
func TestTableAgainstMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	o := newTransactions(1 << 30)
	want := map[string]*transaction{}
	for i := range 20_000 {
		key := fmt.Sprintf("P%d", rnd.IntN(700))
		if got := o.get([]byte(key)); got != want[key] {
			t.Fatalf("step %d: get(%s) = %p, want %p", i, key, got, want[key])
		}
		if rnd.IntN(2) == 0 {
			want[key] = o.begin([]byte(key), 1)
		} else if x := want[key]; x != nil {
			o.close(x)
			delete(want, key)
		}
		if o.byKey.n != len(want) || o.open.n != len(want) {
			t.Fatalf("step %d: %d in the table, %d in the list, want %d", i, o.byKey.n, o.open.n, len(want))
		}
	}
}

// TestOldestLetGo: what is open is bounded by count, the oldest go first.
func TestOldestLetGo(t *testing.T) {
	p := NewParser(Options{Open: 3})
	s := p.Open(Source{ID: "0", Name: "mail.log", ModTime: written})
	var log strings.Builder
	for i := range 5 {
		fmt.Fprintf(&log, "Nov 20 10:00:0%d mx1 postfix/qmgr[9]: AAAAA%d: from=<a%d@vendor.example>, size=1, nrcpt=1 (queue active)\n", i, i, i)
	}
	for i := range 5 {
		fmt.Fprintf(&log, "Nov 20 10:00:1%d mx1 postfix/smtp[9]: AAAAA%d: to=<b@corp.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)\n", i, 4-i)
	}
	s.Feed(0, []byte(log.String()), true)
	senders := ""
	for _, m := range inOrder(drain(p, nil)) {
		senders += string(m.EnvelopeFrom) + " "
	}
	if want := "a4@vendor.example a3@vendor.example a2@vendor.example   "; senders != want {
		t.Errorf("senders %q, want %q", senders, want)
	}
	if p.LetGo() != 4 {
		t.Errorf("%d let go, want 4", p.LetGo())
	}
}

// TestAgeLetsGo: what nobody spoke of for two weeks is forgotten.
func TestAgeLetsGo(t *testing.T) {
	log := `Oct  1 10:00:00 mx1 postfix/qmgr[9]: AAAAA1: from=<old@vendor.example>, size=1, nrcpt=1 (queue active)
Nov 20 10:00:00 mx1 postfix/qmgr[9]: AAAAA2: from=<new@vendor.example>, size=1, nrcpt=1 (queue active)
Nov 20 10:00:01 mx1 postfix/smtp[9]: AAAAA1: to=<b@corp.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)
`
	messages, _ := parse(Options{}, Source{Name: "mail.log", ModTime: written}, []byte(log))
	if list := inOrder(messages); len(list) != 1 || list[0].EnvelopeFrom.Known() {
		t.Errorf("messages %+v, want one without sender", list)
	}
}

// TestManyAttempts: the first and the newest lines stay as evidence.
func TestManyAttempts(t *testing.T) {
	var log strings.Builder
	log.WriteString("Nov 20 10:00:00 mx1 postfix/qmgr[9]: AAAAA1: from=<a@vendor.example>, size=1, nrcpt=1 (queue active)\n")
	for i := range 50 {
		fmt.Fprintf(&log, "Nov 20 11:%02d:00 mx1 postfix/smtp[9]: AAAAA1: to=<b@corp.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (try %d)\n", i, i)
	}
	messages, _ := parse(Options{}, Source{Name: "mail.log", ModTime: written}, []byte(log.String()))
	list := inOrder(messages)
	if len(list) != 1 {
		t.Fatalf("%d messages, want 1", len(list))
	}
	m := list[0]
	if m.Attempts != 50 || len(m.Evidence) != maxEvidence || m.Reply.Text != "try 49" || m.Time.Minute() != 0 || m.Last.Minute() != 49 {
		t.Errorf("%d attempts, %d lines, reply %q, from %s to %s", m.Attempts, len(m.Evidence), m.Reply.Text, m.Time, m.Last)
	}
	if first, last := m.Evidence[1].Text, m.Evidence[maxEvidence-1].Text; !strings.Contains(first, "(try 0)") || !strings.Contains(last, "(try 49)") {
		t.Errorf("evidence from %q to %q", first, last)
	}
}

// TestRestoreRefuses: a snapshot that cannot be read leaves an empty parser.
func TestRestoreRefuses(t *testing.T) {
	for _, data := range []string{"", "{", `{"version":99}`, `{"version":1,"formats":{"nothing":1}}`, `{"version":1,"formats":{"postfix":"x"}}`,
		`{"version":1,"transactions":[{"key":"UA==","lines":[{"stream":"absent","text":"YQ=="}]}]}`,
		`{"version":1,"transactions":[{"key":"UA=="},{"key":"UA=="}]}`, `{"version":1,"streams":[{"id":"a"},{"id":"a"}]}`} {
		p := NewParser(Options{})
		if err := p.Restore([]byte(data)); err == nil {
			t.Errorf("Restore(%s) accepts it", data)
		}
		if p.open.byKey.n != 0 || len(p.streams) != 0 {
			t.Errorf("Restore(%s) leaves %d transactions and %d streams", data, p.open.byKey.n, len(p.streams))
		}
	}
}

// TestAcrossFiles: a message whose lines stand in two files, as after rotation.
func TestAcrossFiles(t *testing.T) {
	p := NewParser(Options{})
	old := p.Open(Source{ID: "old", Name: "mail.log.1", ModTime: written})
	old.Feed(0, []byte("Nov 20 10:00:00 mx1 postfix/qmgr[9]: AAAAA1: from=<a@vendor.example>, size=1, nrcpt=1 (queue active)\n"+
		"Nov 20 10:00:01 mx1 postfix/smtp[9]: AAAAA1: to=<b@corp.example>, relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)\n"), true)
	have := drain(p, nil)
	now := p.Open(Source{ID: "now", Name: "mail.log", ModTime: written})
	now.Feed(0, []byte("Nov 22 10:00:01 mx1 postfix/smtp[9]: AAAAA1: to=<b@corp.example>, relay=x.corp.example[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 Ok)\n"), true)
	have = drain(p, have)
	list := inOrder(have)
	if len(list) != 1 || list[0].Outcome != mail.Delivered || list[0].Source != "old" || list[0].Evidence[2].File != "mail.log" {
		t.Errorf("messages %+v", list)
	}
	p.Drain(func(m mail.Message) { t.Errorf("drained again: %+v", m) })
}

// TestAll: with Options.All plain deliveries are messages too.
func TestAll(t *testing.T) {
	log := `Nov 20 10:00:00 mx1 postfix/smtpd[9]: AAAAA1: client=mail.vendor.example[192.0.2.8]
Nov 20 10:00:00 mx1 postfix/qmgr[9]: AAAAA1: from=<a@vendor.example>, size=1, nrcpt=1 (queue active)
Nov 20 10:00:01 mx1 postfix/smtp[9]: AAAAA1: to=<b@corp.example>, relay=x.corp.example[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 Ok)
Nov 20 10:00:01 mx1 postfix/qmgr[9]: AAAAA1: removed
`
	source := Source{Name: "mail.log", ModTime: written}
	if messages, _ := parse(Options{}, source, []byte(log)); len(messages) != 0 {
		t.Errorf("a delivery is a message: %+v", messages)
	}
	messages, _ := parse(Options{All: true}, source, []byte(log))
	if list := inOrder(messages); len(list) != 1 || list[0].Outcome != mail.Delivered || list[0].Attempts != 0 || list[0].EnvelopeFrom != "a@vendor.example" {
		t.Errorf("messages %+v, want one that is delivered", list)
	}
}
