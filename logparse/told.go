package logparse

import (
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// Told is what one line of a log says by itself.
type Told struct {
	Time    time.Time    // zero = it has no stamp
	Format  string       // "" = not known
	Outcome mail.Outcome // what it says became of a message; "" = it tells a fact
	Next    string       // the id under which the next hop took the message; "" = none is named
}

// Tell reads one line alone. near is about when it was written, for stamps
// without a year; loc is the zone of those without one, nil = UTC.
func Tell(o Options, line string, near time.Time, loc *time.Location) Told {
	o.All = true
	p := NewParser(o)
	s := p.Open(Source{Name: "line", ModTime: near.Add(24 * time.Hour), Location: loc})
	s.Feed(0, []byte(line), true)
	st := s.Stats()
	told := Told{Time: st.LastTime, Format: st.Format}
	p.Drain(func(m mail.Message) { told.Outcome = m.Outcome })
	if told.Outcome == mail.Delivered {
		told.Next = queuedAs(line)
	}
	return told
}

// queuedAs is the id in the reply of a next hop that says which word of it is
// the id, as Postfix, Exim, Sendmail and KumoMTA do.
func queuedAs(line string) string {
	for _, mark := range []string{"queued as ", " OK id=", "ids="} {
		if i := strings.LastIndex(line, mark); i >= 0 {
			rest := line[i+len(mark):]
			return rest[:len(rest)-len(strings.TrimLeft(rest, idCharacters))]
		}
	}
	if before, _, ok := strings.Cut(line, " Message accepted for delivery"); ok {
		return before[strings.LastIndexAny(before, " (")+1:]
	}
	return ""
}

const idCharacters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_."
