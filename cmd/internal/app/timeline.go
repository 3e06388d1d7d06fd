package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
	"mailwhy/index"
	"mailwhy/logparse"
)

// Event is a line of a message's story, or a gap in it.
type Event struct {
	Time    time.Time    // zero = the line has no stamp; a gap's is that of the line before it
	Format  string       // of the log
	Gateway string       // who wrote it
	QueueID string       // under which the message was known there
	Outcome mail.Outcome // what the line says became of the message; "" = it tells a fact
	Join    mail.Join    // how another gateway's line is known to be about it; "" = the message's own
	File    string
	Offset  int64
	Text    string
	Gap     string // a sentence: what is not known here; the rest is empty
}

// MarshalJSON leaves absent facts out; the offset of a line is always there.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Gap != "" {
		return mail.Unescaped(struct {
			Gap string `json:"gap"`
		}{e.Gap})
	}
	return mail.Unescaped(struct {
		Time    string       `json:"time,omitempty"`
		Format  string       `json:"format,omitempty"`
		Gateway string       `json:"gateway,omitempty"`
		QueueID string       `json:"queue_id,omitempty"`
		Outcome mail.Outcome `json:"outcome,omitempty"`
		Join    mail.Join    `json:"join,omitempty"`
		File    string       `json:"file"`
		Offset  int64        `json:"offset"`
		Text    string       `json:"text"`
	}{mail.Stamp(e.Time), e.Format, e.Gateway, e.QueueID, e.Outcome, e.Join, e.File, e.Offset, e.Text})
}

// Find gives the messages of an id as they are, to be decided on and not to be
// shown: its own id, or any id under which a log knows it: queue id, message
// id, a gateway's code, the token at the end of a bounce. At most mostFound,
// newest first; index.ErrNotFound when there is none.
func (r Reader) Find(ctx context.Context, id string) ([]mail.Message, error) {
	if m, err := r.Whole(ctx, id); !errors.Is(err, index.ErrNotFound) {
		return []mail.Message{m}, err
	}
	ids := []string{id}
	if code, _, ok := strings.Cut(strings.Trim(id, "[]"), "."); ok && len(code) >= 20 { // "[aCode.region]" at the end of a reply
		ids = append(ids, strings.Trim(id, "[]"), code)
	}
	for _, id := range ids {
		page, err := r.Page(ctx, index.ByID(id), "", mostFound)
		if err != nil {
			return nil, err
		}
		var list []mail.Message
		for _, row := range page.Rows {
			m, err := r.Whole(ctx, row.ID)
			if err != nil {
				return nil, err
			}
			list = append(list, m)
		}
		if len(list) > 0 {
			return list, nil
		}
	}
	return nil, index.ErrNotFound
}

// mostFound is how many messages one id may give: one a recipient and gateway.
const mostFound = 100

// Timeline is the story of a message of Find in the order of time, its lines as
// the person sees them, and what is missing between them.
func (r Reader) Timeline(m mail.Message, now time.Time) []Event {
	if r.app == nil || m.ID == "" {
		return nil
	}
	formats, _ := Formats(r.app.Config.Formats) // a file that cannot be read is reported where it is needed
	t := timeline{of: &m, now: now, read: func(e mail.Evidence) logparse.Told {
		return logparse.Tell(logparse.Options{Formats: formats}, e.Text, m.Last, r.app.Config.LocationOf(e.File))
	}}
	t.add(m.Evidence, Event{Format: m.Format, Gateway: m.Gateway, QueueID: m.QueueID})
	for _, h := range m.Hops {
		t.add(h.Evidence, Event{Format: h.Format, Gateway: h.Gateway, QueueID: h.QueueID, Join: h.Join})
	}
	slices.SortStableFunc(t.events, func(a, b Event) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset))
	})
	t.once()
	t.gaps()
	if shown := r.veil.Message(m); !r.veil.Lifted() {
		text := map[string]string{}
		for e := range shown.Lines() {
			text[fmt.Sprint(e.File, e.Offset)] = e.Text
		}
		for i := range t.events {
			if e := &t.events[i]; e.Gap == "" {
				e.Text = text[fmt.Sprint(e.File, e.Offset)]
			}
		}
	}
	return t.events
}

// timeline is a story being put together.
type timeline struct {
	of     *mail.Message
	now    time.Time
	read   func(mail.Evidence) logparse.Told
	events []Event
}

// add reads the lines of one hop. A line without stamp stands where the one
// before it stands.
func (t *timeline) add(lines []mail.Evidence, of Event) {
	last := t.of.Time
	for _, e := range lines {
		told := t.read(e)
		if told.Time.IsZero() {
			told.Time = last
		}
		last = told.Time
		event := of
		event.Time, event.Outcome = told.Time, told.Outcome
		event.File, event.Offset, event.Text = e.File, e.Offset, e.Text
		t.events = append(t.events, event)
	}
}

// once leaves out a line that two hops of one gateway tell: it is of the one
// that it names.
func (t *timeline) once() {
	named := func(e Event) bool { return e.QueueID != "" && strings.Contains(e.Text, e.QueueID) }
	var list []Event
	for _, e := range t.events {
		at := slices.IndexFunc(list, func(o Event) bool { return o.File == e.File && o.Offset == e.Offset })
		switch {
		case at < 0:
			list = append(list, e)
		case !named(list[at]) && named(e):
			list[at] = e
		}
	}
	t.events = list
}

// silence is how long nothing may be heard of a message that is to be tried
// again, before it is told that nothing was.
const silence = 24 * time.Hour

// gaps puts in what no log tells.
func (t *timeline) gaps() {
	m, known := t.of, map[string]bool{strings.ToLower(t.of.QueueID): true}
	for _, h := range m.Hops {
		known[strings.ToLower(h.QueueID)] = true
	}
	var list []Event
	gap := func(format string, args ...any) { list = append(list, Event{Gap: fmt.Sprintf(format, args...)}) }
	if m.QueueID != "" && m.Client == (mail.Client{}) && !m.EnvelopeFrom.Known() && len(m.Hops) == 0 {
		gap("how the message came to %s is not in the logs", cmp.Or(m.Gateway, "the gateway"))
	}
	failing := 0
	for _, e := range t.events {
		if e.Join == "" && e.Outcome.Failing() {
			failing++
		}
	}
	seen := 0
	for _, e := range t.events {
		if e.Join == "" && e.Outcome.Failing() {
			if seen++; seen == failing && failing > 1 && m.Attempts > failing {
				gap("%d more attempts lie between; their lines are not kept", m.Attempts-failing)
			}
		}
		list = append(list, e)
		if id := t.read(mail.Evidence{Text: e.Text, File: e.File}).Next; id != "" && !known[strings.ToLower(id)] {
			known[strings.ToLower(id)] = true
			gap("the next hop took it as %s; what became of it there is in no log here", id)
		}
	}
	if waits := m.Outcome == mail.Deferred || m.Outcome == mail.Held; waits && t.now.Sub(m.Last) > silence {
		gap("nothing was logged of it after %s", m.Last.UTC().Format("2006-01-02 15:04 UTC"))
	}
	t.events = list
}
