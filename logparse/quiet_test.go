package logparse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

// atOnce is a format that finds no landmarks: each line is joined when it is
// read.
type atOnce struct{ format }

// TestQuietIsAtOnce reads logs of few queue ids in any order of lines, and asks
// that it makes no difference whether quiet lines wait, how many of them may,
// where the log is cut and where the parser starts again.
func TestQuietIsAtOnce(t *testing.T) {
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 2026))
		log := anyOrder(rnd)
		source := Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written}

		p := NewParser(Options{})
		p.formats[0] = atOnce{p.formats[0]}
		p.Open(source).Feed(0, log, true)
		want := drain(p, nil)

		got := map[string]mail.Message{}
		p = NewParser(Options{})
		for used := 0; used < len(log); {
			p.open.waiting.most = 1 + rnd.IntN(60)
			end := min(len(log), used+rnd.IntN(4000))
			used += p.Open(source).Feed(int64(used), log[used:end], end == len(log))
			got = drain(p, got)
			if rnd.IntN(3) == 0 {
				state, err := p.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				p = NewParser(Options{})
				if err := p.Restore(state); err != nil {
					t.Fatal(err)
				}
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("seed %d: %s\n%s", seed, d, log)
		}
	}
}

// anyOrder writes a Postfix log whose lines come in any order, with queue ids
// that are used again and some days in between.
func anyOrder(rnd *rand.Rand) []byte {
	var log strings.Builder
	now := time.Date(2026, time.October, 1, 0, 0, 0, 0, time.UTC)
	ids := 3 + rnd.IntN(20)
	for range 30 + rnd.IntN(400) {
		switch rnd.IntN(60) {
		case 0:
			now = now.Add(time.Duration(rnd.IntN(40)) * time.Hour)
		case 1, 2, 3, 4, 5, 6:
			now = now.Add(time.Second)
		}
		id := fmt.Sprintf("4QAAAA%02d", rnd.IntN(ids))
		next := fmt.Sprintf("4QAAAA%02d", rnd.IntN(ids))
		to := fmt.Sprintf("to=<b%d@corp.example>, ", rnd.IntN(2))
		body := []string{
			id + ": client=mail.vendor.example[192.0.2.8]", id + ": client=unknown[192.0.2.9]", id + ": uid=0 from=<root>",
			fmt.Sprintf("%s: message-id=<%d@vendor.example>", id, rnd.IntN(9)),
			fmt.Sprintf("%s: from=<a%d@vendor.example>, size=%d, nrcpt=1 (queue active)", id, rnd.IntN(9), rnd.IntN(9)),
			id + ": " + to + "relay=x.corp.example[192.0.2.1]:25, delay=1, dsn=2.0.0, status=sent (250 Ok)",
			id + ": " + to + "relay=127.0.0.1[127.0.0.1]:10024, delay=1, dsn=2.0.0, status=sent (250 Ok: queued as " + next + ")",
			id + ": removed", id + ": removed", id + ": removed", "disconnect from unknown[192.0.2.9]",
			id + ": " + to + "relay=none, delay=1, dsn=4.4.1, status=deferred (timed out)",
			id + ": " + to + "relay=none, delay=1, dsn=5.1.1, status=bounced (unknown user)",
			id + ": from=<a@vendor.example>, status=expired, returned to sender", id + ": sender non-delivery notification: " + next,
			id + ": reject: RCPT from unknown[192.0.2.9]: 550 5.1.1 <c@corp.example>: no; from=<a@vendor.example> to=<c@corp.example> proto=ESMTP helo=<x>",
			"NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 450 4.7.1 <c@corp.example>: later; from=<a@vendor.example> to=<c@corp.example> proto=ESMTP helo=<x>",
			fmt.Sprintf("NOQUEUE: reject: RCPT from unknown[192.0.2.9]: 450 4.7.1 <b0@corp.example>: Greylisted; from=<a%d@vendor.example> to=<b0@corp.example> proto=ESMTP helo=<x>", rnd.IntN(9)),
		}[rnd.IntN(18)]
		for range 1 + rnd.IntN(20)/19*70 { // as many finished ones as make the others old
			fmt.Fprintf(&log, "%s mx%d postfix/smtpd[7]: %s\n", now.Format(time.Stamp), rnd.IntN(20)/19, body)
			if strings.HasSuffix(body, "removed") {
				body = fmt.Sprintf("5QAAAA%02d: removed", rnd.IntN(100))
			} else {
				break
			}
		}
	}
	return []byte(log.String())
}
