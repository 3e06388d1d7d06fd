package logparse

import (
	"fmt"
	"io"
	"runtime"
	"testing"

	"mailwhy/engine/mail"
)

// TestMemoryIsFlat reads a log of messages that come, fail or not, and go: what
// is held of it does not grow with its size.
func TestMemoryIsFlat(t *testing.T) {
	const few, many = 5_000, 50_000 // messages, of some 700 bytes of log
	small, large := held(t, Options{}, &passing{left: few}), held(t, Options{}, &passing{left: many})
	if large > small+1<<20 {
		t.Errorf("%d KiB are held after %d messages, %d KiB after %d", small>>10, few, large>>10, many)
	}
}

// TestMemoryIsBounded reads a log of messages that are deferred and never heard
// of again: not more is held than of as many as may be open.
func TestMemoryIsBounded(t *testing.T) {
	const open = 2_000
	o := Options{Open: open}
	small, large := held(t, o, &passing{left: 2 * open, stay: true}), held(t, o, &passing{left: 20 * open, stay: true})
	if large > small+1<<20 {
		t.Errorf("%d KiB are held after twice as many messages as may be open, %d KiB after 20 times as many", small>>10, large>>10)
	}
}

// held is how many bytes are held after a log was read.
func held(t *testing.T, o Options, log *passing) uint64 {
	t.Helper()
	p := NewParser(o)
	s := p.Open(Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written})
	if err := s.Read(t.Context(), log, func() { p.Drain(func(mail.Message) {}) }); err != nil {
		t.Fatal(err)
	}
	least := ^uint64(0)
	for range 5 { // what ran ahead of the joining may just be ending
		runtime.Gosched()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc)
	}
	runtime.KeepAlive(p)
	return least
}

// passing is a log of messages that bounce, or that are deferred and stay.
type passing struct {
	left int
	stay bool
	have []byte
}

func (p *passing) Read(b []byte) (int, error) {
	if len(p.have) == 0 {
		if p.left == 0 {
			return 0, io.EOF
		}
		p.left--
		const stamp = "Nov 20 10:00:00 mx1 postfix/"
		status, end := "bounced", "removed"
		if p.stay {
			status, end = "deferred", "to be tried again"
		}
		for _, line := range []string{
			"smtpd[1]: %X: client=mail.vendor.example[192.0.2.8]", "cleanup[2]: %X: message-id=<m@vendor.example>",
			"qmgr[3]: %X: from=<a@vendor.example>, size=100, nrcpt=1 (queue active)",
			"smtp[4]: %X: to=<b@corp.example>, relay=store.corp.example[198.51.100.7]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=" + status + " (host store.corp.example[198.51.100.7] said: 550 5.1.1 no)",
			"qmgr[3]: %X: " + end,
		} {
			p.have = fmt.Appendf(append(p.have, stamp...), line+"\n", 0x1000000+p.left)
		}
		p.have = append(p.have, stamp+"smtpd[1]: NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 550 5.1.1 <c@corp.example>: Recipient address rejected: User unknown in local recipient table; from=<d@vendor.example> to=<c@corp.example> proto=ESMTP helo=<x>\n"...)
	}
	n := copy(b, p.have)
	p.have = append(p.have[:0], p.have[n:]...)
	return n, nil
}
