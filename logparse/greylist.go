package logparse

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// greylist joins a message that greylisting deferred with the retry that was
// let in. The deferral has no queue id, and the retry comes in another session,
// perhaps from another address of the sender's network. They are the same
// message where reverse-path, recipient and network are: the triplet that
// greylisting itself goes by. Only the first that is let in takes a deferral.
//
// What waits is bounded by count and by age. Most of it never comes back, so a
// deferral that one line tells all about waits as that line.
type greylist struct {
	waiting map[uint64]*greylisted // by the sum of sender and recipient
	to      [greylistRoom]uint16   // how many wait, by recipient: most that is delivered is of none
	oldest  *greylisted
	newest  *greylisted
	n       int
	most    int
	free    *greylisted // linked by next
	texts   slab
	letGo   int64
}

const (
	// greylistRetry is how long after its newest attempt a message may come
	// again (Mimecast, "Greylisting": 12 hours), in milliseconds of log time.
	greylistRetry = 12 * 60 * 60 * 1000
	// mostGreylisted bounds what waits at some five MB.
	mostGreylisted = 10_000
	greylistRoom   = 1 << 16 // several times as many, so that few recipients share a place
)

// greylisted is a deferral that waits for its retry.
type greylisted struct {
	format   string
	from, to mail.Path
	network  netip.Prefix
	ms       int64 // Unix milliseconds of the newest attempt
	stream   *Stream
	offset   int64 // of the newest attempt's line, in stream

	r       *record // the message; nil = the line tells all
	line    string
	gateway string

	sum        uint64
	same       *greylisted // with the same sum
	prev, next *greylisted // by time of the newest attempt
}

func newGreylist() greylist {
	return greylist{waiting: map[uint64]*greylisted{}, most: mostGreylisted}
}

// greylisting reports whether a refusal says that it is greylisting: in a word,
// or in what Mimecast answers then.
func greylisting(m *mail.Message) bool {
	if m.Outcome != mail.Deferred || m.Reply.Permanent() {
		return false
	}
	switch m.Phase {
	case mail.PhaseDelivery, mail.PhaseQueue: // the next hop's: the message keeps its queue id
		return false
	}
	return saysGreylist(m.Reply.Text) || saysGreylist(m.Reported.Rule) || saysGreylist(m.Reported.Type) || saysGreylist(m.Reported.Detail) ||
		strings.HasPrefix(m.Format, "mimecast") && m.Reply.Code == 451 && strings.HasPrefix(m.Reply.Text, "Internal resource") && strings.Contains(m.Reply.Text, "temporarily unavailable")
}

func saysGreylist(words string) bool {
	i := strings.Index(words, "reylist")
	if i < 0 {
		i = strings.Index(words, "raylist")
	}
	return i > 0 && (words[i-1] == 'g' || words[i-1] == 'G') || strings.Contains(words, "GREYLIST") || strings.Contains(words, "postgrey")
}

// networkOf is what stands for the client of a triplet: its /24, or /64 of
// IPv6; of the null path, which is everybody's, the client itself. The zero one = not known.
func networkOf(ip string, from mail.Path) netip.Prefix {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := 64
	switch {
	case from.Null():
		bits = addr.BitLen()
	case addr.Is4():
		bits = 24
	}
	network, _ := addr.Prefix(bits) // which is never too long
	return network
}

func (p *Parser) pathSum(path string) uint64 { return sum(p.open.byKey.seed, []byte(path)) }

// wait notes a greylisting whose retry may come. It returns nil where the log
// does not give the whole triplet.
func (p *Parser) wait(m *mail.Message, s *Stream, ms, offset int64) *greylisted {
	network := networkOf(m.Client.IP, m.EnvelopeFrom)
	if !network.IsValid() || ms == 0 || !m.EnvelopeFrom.Known() || !m.Recipient.Known() {
		return nil
	}
	g := &p.grey
	w := g.free
	if w == nil {
		w = &greylisted{}
	} else {
		g.free = w.next
	}
	*w = greylisted{format: m.Format, from: mail.Path(strings.Clone(string(m.EnvelopeFrom))), to: mail.Path(strings.Clone(string(m.Recipient))), network: network, ms: ms, stream: s, offset: offset}
	p.putGreylisted(w)
	for g.oldest.ms < ms-greylistRetry || g.n > g.most {
		if g.oldest.ms >= ms-greylistRetry {
			g.letGo++
		}
		p.stopWaiting(g.oldest)
	}
	return w
}

func (p *Parser) putGreylisted(w *greylisted) {
	g := &p.grey
	toSum := p.pathSum(string(w.to))
	w.sum = joinSums(p.pathSum(string(w.from)), toSum)
	w.same = g.waiting[w.sum]
	g.waiting[w.sum] = w
	g.to[toSum%greylistRoom]++
	g.append(w)
}

func (g *greylist) append(w *greylisted) {
	w.prev, w.next = g.newest, nil
	if g.newest != nil {
		g.newest.next = w
	} else {
		g.oldest = w
	}
	g.newest = w
	g.n++
}

func (g *greylist) remove(w *greylisted) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		g.oldest = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		g.newest = w.prev
	}
	g.n--
}

// stopWaiting forgets a deferral.
func (p *Parser) stopWaiting(w *greylisted) {
	g := &p.grey
	g.remove(w)
	g.to[p.pathSum(string(w.to))%greylistRoom]--
	switch first := g.waiting[w.sum]; {
	case first != w:
		for before := first; before != nil; before = before.same {
			if before.same == w {
				before.same = w.same
			}
		}
	case w.same != nil:
		g.waiting[w.sum] = w.same
	default:
		delete(g.waiting, w.sum)
	}
	*w = greylisted{next: g.free}
	g.free = w
}

// mayWait reports whether a deferral for a recipient may wait, with the sum of
// its path.
func (p *Parser) mayWait(to mail.Path) (toSum uint64, may bool) {
	if p.grey.n == 0 || to == "" {
		return 0, false
	}
	toSum = p.pathSum(string(to))
	return toSum, p.grey.to[toSum%greylistRoom] != 0
}

// waits returns the deferral that an attempt at ms of a line in s repeats, nil
// where there is none.
func (p *Parser) waits(m *mail.Message, to mail.Path, s *Stream, ms, offset int64) *greylisted {
	toSum, may := p.mayWait(to)
	if !may || ms == 0 {
		return nil
	}
	w := p.grey.waiting[joinSums(p.pathSum(string(m.EnvelopeFrom)), toSum)]
	for ; w != nil; w = w.same {
		if w.format == m.Format && w.from == m.EnvelopeFrom && w.to == to && w.network == networkOf(m.Client.IP, m.EnvelopeFrom) &&
			ms >= w.ms && ms-w.ms <= greylistRetry && (w.stream != s || offset > w.offset) &&
			(w.r == nil || !contradict(w.r.MessageID, m.MessageID)) {
			return w
		}
	}
	return nil
}

// again notes that what waits was tried once more, and deferred again.
func (p *Parser) again(w *greylisted, s *Stream, ms, offset int64) {
	w.ms, w.stream, w.offset = ms, s, offset
	p.grey.remove(w)
	p.grey.append(w)
}

// retried returns the message of t that greylisting had deferred, where one of
// the addresses that it was sent to is waited for; nil where none is. now has
// the triplet and the message id of the retry, as far as they are known, and
// first is where its first line stands.
func (p *Parser) retried(t *transaction, now *mail.Message, l *lineAt, first int64) *record {
	for _, to := range []mail.Path{now.OriginalRecipient, now.Recipient} {
		w := p.waits(now, to, l.s, t.born, first)
		if w == nil {
			continue
		}
		r := p.greylistedRecord(w)
		p.stopWaiting(w)
		r.lone = false
		if r.QueueID != now.QueueID {
			r.deferredAs(r.QueueID, r.Time, r.Last)
		}
		r.Gateway, r.QueueID = now.Gateway, now.QueueID
		if now.Recipient != to { // an alias stood for it
			r.Recipient, r.OriginalRecipient = now.Recipient, to
		}
		t.records = append(t.records, r)
		return r
	}
	return nil
}

// deferredAs keeps another id under which greylisting deferred r: people ask for
// the one that they have seen.
func (r *record) deferredAs(id string, first, last time.Time) {
	if id == "" || slices.ContainsFunc(r.told, func(h mail.Hop) bool { return h.QueueID == id }) {
		return
	}
	hop := mail.Hop{Format: r.Format, Gateway: r.Gateway, QueueID: id, Outcome: mail.Deferred, Join: mail.ByTriplet, Time: first, Last: last}
	r.told = append(slices.Clip(r.told), hop)
	r.Hops = append(slices.Clip(r.Hops), hop)
}

// greylistedRecord is the message of a deferral that waits, made of its line if
// need be. One that was not drained yet is not made twice.
func (p *Parser) greylistedRecord(w *greylisted) *record {
	if w.r != nil {
		return w.r
	}
	p.id = appendMessageID(p.id[:0], w.ms, w.stream.source.ID, w.offset, 0)
	r := p.undrained(w.stream, string(p.id))
	if r == nil {
		r = &record{Message: p.refusalOf(w)}
		r.ID, r.Source, r.Time, r.Last, r.Attempts = string(p.id), w.stream.source.ID, unixTime(w.ms), unixTime(w.ms), 1
	}
	r.lone, w.r, w.line = false, r, ""
	return r
}

// undrained returns the record with an id that is still to be drained, or is of
// the newest line of s; nil where there is none.
func (p *Parser) undrained(s *Stream, id string) *record {
	if r := s.newest.r; r != nil && r.ID == id {
		return r
	}
	for _, r := range p.changed {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// greylist lets r, whose newest line says that greylisting deferred it, wait
// for its retry.
func (p *Parser) greylist(r *record, l *lineAt) {
	if !greylisting(&r.Message) {
		return
	}
	if w := p.wait(&r.Message, l.s, l.ms, l.offset); w != nil {
		r.lone = false
		w.r = r
	}
}

// deferredAgain returns the message that waits and of which m, a greylisting
// too, is another attempt; nil where there is none.
func (p *Parser) deferredAgain(m *mail.Message, l *lineAt) *record {
	if !greylisting(m) {
		return nil
	}
	w := p.waits(m, m.Recipient, l.s, l.ms, l.offset)
	if w == nil {
		return nil
	}
	r := p.greylistedRecord(w)
	if m.QueueID != r.QueueID && len(r.told) < maxEvidence {
		r.deferredAs(m.QueueID, unixTime(l.ms), unixTime(l.ms))
	}
	p.again(w, l.s, l.ms, l.offset)
	return r
}

// firstLine is where the first line of t that is kept stands in a stream; the
// end of it where that is another's.
func (t *transaction) firstLine(s *Stream) int64 {
	for i := range t.lines {
		if t.lines[i].stream == s.index {
			return t.lines[i].offset
		}
	}
	return math.MaxInt64
}
