package logparse

import (
	"cmp"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// stories joins what several gateways tell of one message: a gateway that let
// it pass, the content filter behind it, the next hop where it failed.
//
// What makes two hops the same message:
//
//   - one says under which queue id the other took it ("queued as 4PbC4z6"), or
//     a filter names the queue's id; both within storyWindow, and their message
//     ids do not contradict each other; or
//   - they have the same message id, and the same sender, a recipient in common
//     (each as far as it was logged), and touch in time; and among the hops of
//     that gateway this one is the nearest in time, from both sides.
//
// So a list's copy is not the message that was sent to the list: its sender is
// another. Nor is a message that was sent again the first one: each sending
// joins with the hop that was nearest. Two queue ids on one gateway are never
// joined by a message id.
//
// Every gateway's failure stays a message of its own, whose id does not depend
// on the order in which logs are read; what the others tell stands in its Hops.
type stories struct {
	on     bool // more than one gateway may tell of a message
	most   int
	byKey  map[string][]*hop // by "m" message id, "q" queue id, "n" id given to the next hop
	passed map[string]*hop   // by transaction key
	failed map[*record]*hop
	order  []*hop // oldest first
	fresh  []*hop // passing ones that changed since the last settle
	bytes  int
	newest int64 // Unix milliseconds
	letGo  int64
}

// storyWindow is how far apart two hops of a message may be, in log time: the
// one hands it over while the other takes it, but clocks differ, and a hop
// between them may have no log here.
const storyWindow = 60 * 60 * 1000 // milliseconds

// What is kept for later joins is bounded: by Options.Hops, by the bytes of its
// lines, and by age.
const (
	defaultHops   = 20_000
	maxStoryBytes = 16 << 20
	maxLinesKept  = 40 // of a hop that passes: a line for each recipient
	maxHopLines   = 8  // of a hop in a message
	maxHops       = 8  // of one message
)

// hop is what one gateway told of one message: that it passed, or, where r is
// set, that it failed there for one recipient.
type hop struct {
	m    *mail.Message
	r    *record
	key  string      // of a passing one's transaction
	to   []mail.Path // of a passing one, folded
	of   []mail.Path // of each line of a passing one, the recipient that it is about; "" = all
	next []string    // ids under which next hops may have taken it
	keys []string    // under which it stands in stories.byKey
	size int
	gone bool // forgotten
	seen hopState
}

// hopState is what others must be told of when it changes.
type hopState struct {
	messageID, queueID string
	outcome            mail.Outcome
	lines, next        int
	last               int64
}

func newStories(most int) stories {
	if most <= 0 {
		most = defaultHops
	}
	return stories{most: most, byKey: map[string][]*hop{}, passed: map[string]*hop{}, failed: map[*record]*hop{}}
}

// passes notes that a gateway let a message pass for one recipient: now has the
// facts, with their lines as evidence, and the time of the first of them. key is
// that of its transaction.
func (p *Parser) passes(key []byte, l *lineAt, now *mail.Message) {
	s := &p.stories
	if !s.on || now.MessageID == "" && now.QueueID == "" || l.ms == 0 {
		return
	}
	h := s.passed[string(key)]
	if h != nil && l.ms-h.m.Last.UnixMilli() > transactionAge {
		s.forget(h)
		h = nil
	}
	if h == nil {
		facts := *now
		facts.Evidence, facts.Last = nil, unixTime(l.ms)
		if facts.Time.IsZero() {
			facts.Time = facts.Last
		}
		h = &hop{key: string(key), m: &facts}
		s.passed[h.key] = h
		s.add(h)
	}
	learnAll(h.m, now)
	h.m.Outcome = cmp.Or(now.Outcome, h.m.Outcome)
	if to := now.Recipient.Fold(); to != "" && !slices.Contains(h.to, to) {
		h.to = append(h.to, to)
	}
	if to := now.OriginalRecipient.Fold(); to != "" && !slices.Contains(h.to, to) {
		h.to = append(h.to, to)
	}
	for _, e := range now.Evidence {
		h.cite(e, "")
	}
	h.cite(l.s.evidence(l.offset, l.raw), now.Recipient.Fold())
	if now.Outcome == mail.Delivered {
		h.next = appendNew(h.next, nextIDs(text(l.raw))...)
	}
	h.m.Time, h.m.Last = firstOf(h.m.Time, unixTime(l.ms)), lastOf(h.m.Last, unixTime(l.ms))
	s.seen(l.ms)
	s.fresh = append(s.fresh, h)
}

// cite adds a line about a recipient, or about all, to a passing hop, once.
func (h *hop) cite(e mail.Evidence, of mail.Path) {
	for i := range h.m.Evidence {
		if have := &h.m.Evidence[i]; have.Offset == e.Offset && have.File == e.File {
			if h.of[i] != of {
				h.of[i] = "" // a line for several
			}
			return
		}
	}
	if len(h.m.Evidence) >= maxLinesKept {
		h.m.Evidence = slices.Delete(h.m.Evidence, maxHopLines/2, maxHopLines/2+1)
		h.of = slices.Delete(h.of, maxHopLines/2, maxHopLines/2+1)
	}
	h.m.Evidence, h.of = append(h.m.Evidence, e), append(h.of, of)
}

// linesFor are the lines of a hop that tell of one of the recipients, or of all.
func (h *hop) linesFor(to []mail.Path) []mail.Evidence {
	if h.r != nil || !slices.ContainsFunc(h.of, func(of mail.Path) bool { return of != "" && slices.Contains(to, of) }) {
		return h.m.Evidence // where it rewrites recipients, nothing tells which are meant
	}
	var list []mail.Evidence
	for i, of := range h.of {
		if of == "" || slices.Contains(to, of) {
			list = append(list, h.m.Evidence[i])
		}
	}
	return list
}

// settle brings the hops of what changed, and of what it is joined with, up to
// date: Drain's first step.
func (p *Parser) settle() {
	s := &p.stories
	if !s.on {
		return
	}
	for _, h := range s.fresh {
		if !h.gone && s.news(h) {
			s.tell(p, h)
		}
	}
	s.fresh = s.fresh[:0]
	for i := 0; i < len(p.changed); i++ { // grows while others are told
		r := p.changed[i]
		if r.ID == "" || r.MessageID == "" && r.QueueID == "" {
			continue
		}
		h := s.failed[r]
		if h == nil {
			h = &hop{m: &r.Message, r: r}
			s.failed[r] = h
			s.add(h)
			s.seen(r.Last.UnixMilli())
		}
		if s.news(h) {
			s.tell(p, h)
		}
		r.Hops = append(s.hopsOf(h), r.told...)
	}
	s.bound()
}

// tell lists the failures that a changed hop may be joined with.
func (s *stories) tell(p *Parser, h *hop) {
	for _, key := range h.keys {
		for _, other := range s.byKey[key] {
			if other.r != nil && other != h {
				p.list(other.r)
			}
		}
	}
	for _, id := range h.next {
		for _, other := range s.byKey["q"+id] {
			if other.r != nil {
				p.list(other.r)
			}
		}
	}
	for _, joined := range s.joined(h) {
		if joined.hop.r != nil {
			p.list(joined.hop.r)
		}
	}
}

// news brings a hop's keys up to date and reports whether it says something
// that it had not said before.
func (s *stories) news(h *hop) bool {
	if h.r != nil && h.m.Outcome == mail.Delivered && len(h.m.Evidence) > 0 {
		h.next = appendNew(h.next, nextIDs(h.m.Evidence[len(h.m.Evidence)-1].Text)...)
	}
	now := hopState{h.m.MessageID, h.m.QueueID, h.m.Outcome, len(h.m.Evidence), len(h.next), h.m.Last.UnixMilli()}
	if now == h.seen {
		return false
	}
	h.seen = now
	if h.m.MessageID != "" {
		s.stand(h, "m"+h.m.MessageID)
	}
	if h.m.QueueID != "" {
		s.stand(h, "q"+h.m.QueueID)
	}
	for _, id := range h.next {
		s.stand(h, "n"+id)
	}
	s.bytes -= h.size
	h.size = 500
	for i := range h.m.Evidence {
		h.size += len(h.m.Evidence[i].Text)
	}
	s.bytes += h.size
	return true
}

func (s *stories) stand(h *hop, key string) {
	if !slices.Contains(h.keys, key) {
		h.keys = append(h.keys, key)
		s.byKey[key] = append(s.byKey[key], h)
	}
}

func (s *stories) add(h *hop) {
	if h.r != nil {
		h.r.held = true
	}
	s.order = append(s.order, h)
}

func (s *stories) seen(ms int64) { s.newest = max(s.newest, ms) }

// bound lets the oldest go.
func (s *stories) bound() {
	n := 0
	for _, h := range s.order {
		age := s.newest - h.m.Last.UnixMilli()
		if len(s.order)-n <= s.most && s.bytes <= maxStoryBytes && age <= transactionAge {
			break
		}
		if age < storyWindow {
			s.letGo++
		}
		s.drop(h)
		n++
	}
	s.order = slices.Delete(s.order, 0, n)
}

// forget drops a hop wherever it stands.
func (s *stories) forget(h *hop) {
	s.drop(h)
	s.order = slices.DeleteFunc(s.order, func(o *hop) bool { return o == h })
}

func (s *stories) drop(h *hop) {
	for _, key := range h.keys {
		left := slices.DeleteFunc(s.byKey[key], func(o *hop) bool { return o == h })
		if s.byKey[key] = left; len(left) == 0 {
			delete(s.byKey, key)
		}
	}
	if h.r != nil {
		h.r.held = false
		delete(s.failed, h.r)
	} else if s.passed[h.key] == h {
		delete(s.passed, h.key)
	}
	s.bytes -= h.size
	h.gone = true
}

func appendNew(list []string, values ...string) []string {
	for _, v := range values {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// nextIDs are the words in the reply to a delivery that may be the id which the
// next hop gave the message: servers word it differently, but all name it.
func nextIDs(line string) []string {
	for _, start := range []string{"status=sent (", "stat=Sent (", ` C="`} {
		if i := strings.LastIndex(line, start); i >= 0 {
			line = line[i+len(start):]
			break
		}
	}
	var ids []string
	words := strings.FieldsFunc(line, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r >= 0x80 || idClass[r] == 0)
	})
	for _, word := range words {
		ids = appendNew(ids, ofIDForm(word)...)
		if before, _, ok := strings.Cut(word, "."); ok { // Haraka's "UUID.1", Mimecast's "aCode.region"
			ids = appendNew(ids, ofIDForm(before)...)
		}
	}
	return ids[max(0, len(ids)-maxNextIDs):] // it stands towards the end
}

// maxNextIDs is how many words of a reply may be an id.
const maxNextIDs = 12

func ofIDForm(word string) []string {
	if len(word) < 6 || len(word) > 64 || strings.Trim(word, "0123456789.") == "" || !strings.ContainsAny(word, "0123456789") && strings.ToUpper(word) != word {
		return nil
	}
	return []string{word}
}
