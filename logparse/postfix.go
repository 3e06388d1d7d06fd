package logparse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"mailwhy/engine/mail"
)

// postfix reads the logs of Postfix (https://www.postfix.org/, POSTLOG(1),
// and what smtpd, postscreen, cleanup, qmgr and the delivery agents write).
//
// A queued message is one transaction from its client= line to "removed"; each
// recipient that fails is a record in it. A refusal without queue id (NOQUEUE)
// is a message of its own: nothing in the log says that two of them are the
// same message tried twice.
type postfix struct {
	p *Parser

	// proxied is set once a before-queue filter was seen at work: only then
	// does a session's client stand on another line than its refusal.
	proxied bool

	key  []byte // of the line being read, up to the queue id
	head postfixHead
	now  postfixLine // the line being read; here, because clearing it anew for each line costs a twentieth
}

// postfixHead is the stamp and host of the newest line. Lines of the same
// second begin with the same bytes, and are then not read again.
type postfixHead struct {
	stream  *Stream
	text    []byte
	ms      int64
	gateway string
	sum     uint64 // of the key of its transactions, up to the queue id
	host    int    // bytes of the gateway's name where it ends text but for a space and has no NUL; else 0
}

// The kinds of lines a transaction keeps.
const (
	keptClient    = 'c' // smtpd's client=, pickup's uid=
	keptMessageID = 'm'
	keptSender    = 'f' // qmgr's from=, size=
	keptHelo      = 'h' // a refusal of another recipient: it names the helo
	keptSubject   = 's' // a header check that logs the subject
)

func newPostfix(p *Parser) *postfix { return &postfix{p: p} }

func (f *postfix) name() string { return "postfix" }

func (f *postfix) save() ([]byte, error) { return json.Marshal(f.proxied) }

func (f *postfix) load(data []byte) error {
	if err := json.Unmarshal(data, &f.proxied); err != nil {
		return fmt.Errorf("decode session state: %w", err)
	}
	return nil
}

func (f *postfix) detect(line []byte) bool {
	var e envelope
	c := newClock(unixTime(0), nil)
	return f.envelope(&c, line, &e) > 0 || bareBody(line)
}

// line reads one line: envelope, then what the daemon said.
func (f *postfix) line(s *Stream, offset int64, line []byte) bool {
	l := &f.now
	l.s, l.offset, l.raw = s, offset, line
	e := &l.e
	h := &f.head
	if n := len(h.text); h.stream == s && n > 0 && len(line) > n && string(line[:n]) == string(h.text) {
		e.ms, e.pid = h.ms, nil
		if !e.takePostfixTag(line[n:]) && (!e.takeTag(line[n:]) || !isPostfixTag(e.tag)) {
			return false
		}
	} else {
		*e = envelope{}
		n := f.envelope(&s.clock, line, e)
		if n == 0 {
			if !bareBody(line) && (s.pinned != f || otherProgram(e.tag)) {
				return false
			}
			*e = envelope{body: line}
		}
		f.setHead(s, line[:n], e)
	}
	if e.ms != 0 {
		s.seen(e.ms)
	}
	f.body(l)
	return true
}

// envelope reads stamp, host and tag into e. It returns where the tag starts
// (1 at least, which is wrong by that one where the tag is first), 0 when the
// line is not one of Postfix.
func (f *postfix) envelope(c *clock, line []byte, e *envelope) int {
	n := c.stampAndHost(line, e)
	if e.tag != nil { // RFC 5424
		e.body = withoutSolarisID(line[n:])
	} else if !e.takeTag(line[n:]) {
		return 0
	}
	if !isPostfixTag(e.tag) {
		return 0
	}
	return max(n, 1)
}

// takePostfixTag is takeTag for "postfix/smtpd[27172]: ", as most tags are.
func (e *envelope) takePostfixTag(b []byte) bool {
	const start = len("postfix/")
	if len(b) < start || string(b[:start]) != "postfix/" {
		return false
	}
	i := bytes.IndexByte(b[start:], ':') + start
	if b[i-1] != ']' || i+3 > len(b) || b[i+1] != ' ' || b[i+2] == '[' {
		return false
	}
	e.tag, e.body = b[:i], b[i+2:]
	return true
}

// setHead remembers the start of a line that another line of the same second
// and host shares. Without a host, or in RFC 5424, which has the tag in the
// middle, it would also fit lines that are built otherwise.
func (f *postfix) setHead(s *Stream, start []byte, e *envelope) {
	h := &f.head
	if h.stream != s || h.gateway != string(e.host) || len(f.key) == 0 {
		h.gateway = text(e.host)
		f.key = append(f.key[:0], 'P')
		if len(e.host) == 0 { // queue ids of two nameless logs are not the same
			f.key = append(f.key, s.source.ID...)
		}
		f.key = append(append(f.key, e.host...), 0)
		f.key = slices.Grow(f.key, 256) // room for what transactionKey and sessionKey add
	}
	h.stream, h.ms, h.text = s, e.ms, h.text[:0]
	if len(e.host) > 0 && start[0] != '<' {
		h.text = append(h.text, start...)
	}
	h.setSum(f)
}

// setSum makes ready for lines that wait, see quietLines.
func (h *postfixHead) setSum(f *postfix) {
	n := len(h.gateway)
	if h.host = 0; n > 0 && n < 256 && len(h.text) > n && string(h.text[len(h.text)-1-n:]) == h.gateway+" " && strings.IndexByte(h.gateway, 0) < 0 {
		h.host, h.sum = n, sum(f.p.open.byKey.seed, f.key)
	}
}

// isPostfixTag reports whether a syslog tag is one of Postfix: "postfix/smtpd",
// "postfix-out/smtp", or any syslog_name before one of its daemons.
func isPostfixTag(tag []byte) bool {
	if len(tag) >= 7 && string(tag[:7]) == "postfix" {
		return true
	}
	i := bytes.LastIndexByte(tag, '/')
	if i <= 0 {
		return false
	}
	daemon := tag[i+1:]
	if open := bytes.IndexByte(daemon, '['); open >= 0 {
		daemon = daemon[:open]
	}
	switch string(daemon) {
	case "smtpd", "smtp", "lmtp", "qmgr", "nqmgr", "cleanup", "bounce", "local", "virtual", "pipe", "error", "discard",
		"pickup", "postscreen", "anvil", "verify", "trivial-rewrite", "dnsblog", "tlsproxy", "scache", "postsuper":
		return true
	}
	return false
}

// otherProgram reports whether a tag, which is not Postfix's, is a tag at all
// and not the start of a line without envelope.
func otherProgram(tag []byte) bool { return bytes.HasSuffix(tag, []byte("]")) }

// bareBody reports whether a line without any envelope is Postfix's.
func bareBody(line []byte) bool {
	if bytes.HasPrefix(line, []byte("proxy-reject: ")) {
		return true
	}
	id, rest, ok := queueID(line)
	if !ok {
		return false
	}
	if string(id) == noQueue {
		return true
	}
	for _, word := range []string{"client=", "message-id=", "from=<", "to=", "removed", "reject: ", "milter-reject: ", "uid="} {
		if bytes.HasPrefix(rest, []byte(word)) {
			return true
		}
	}
	return false
}

// noQueue stands where the queue id would, before a message has one.
const noQueue = "NOQUEUE"

// The kinds of characters in a queue id.
const (
	idDigit = 1 << iota
	idUpper
	idLower
)

var idClass = func() (class [256]byte) {
	for c := range 10 {
		class['0'+c] = idDigit
	}
	for c := range 26 {
		class['A'+c], class['a'+c] = idUpper, idLower
	}
	return class
}()

// queueID cuts "4PbC4x469Jz3tBr: ..." or "NOQUEUE: ...". Short ids are upper
// case hexadecimal, long ones base 52; words that end in a colon have no digit.
func queueID(body []byte) (id, rest []byte, ok bool) {
	n, seen := 0, byte(0)
	for ; n < len(body); n++ {
		class := idClass[body[n]]
		if class == 0 {
			break
		}
		seen |= class
	}
	if n < 4 || n > 24 || n+2 >= len(body) || body[n] != ':' || body[n+1] != ' ' {
		return nil, nil, false
	}
	return body[:n], body[n+2:], seen&idDigit != 0 || seen == idUpper
}

// postfixLine is a line whose envelope is read.
type postfixLine struct {
	s      *Stream
	offset int64
	raw    []byte
	e      envelope
}

// body sends what a daemon said to whom it concerns. The most frequent lines
// are told apart by few bytes.
func (f *postfix) body(l *postfixLine) {
	b := l.e.body
	if len(b) > 16 && string(b[:13]) == "connect from " {
		return
	}
	if len(b) > 16 && string(b[:16]) == "disconnect from " {
		f.endSession(l)
		return
	}
	id, rest, ok := queueID(b)
	switch {
	case !ok:
		f.unnumbered(l)
	case string(id) == noQueue:
		f.unqueued(l, rest)
	default:
		f.queued(l, id, rest)
	}
}

// queued reads a line about a message that has a queue id.
func (f *postfix) queued(l *postfixLine, id, rest []byte) {
	switch rest[0] {
	case 't':
		if bytes.HasPrefix(rest, []byte("to=")) {
			f.status(l, id, rest)
			return
		}
	case 'c':
		if bytes.HasPrefix(rest, []byte("client=")) {
			f.begin(l, id)
			return
		}
	case 'u':
		if bytes.HasPrefix(rest, []byte("uid=")) {
			f.begin(l, id)
			return
		}
	case 'm':
		if bytes.HasPrefix(rest, []byte("message-id=")) {
			f.fact(l, id, keptMessageID)
			return
		}
	case 'f':
		if bytes.HasPrefix(rest, []byte("from=<")) {
			if rest[len(rest)-1] == ')' || !bytes.Contains(rest, []byte(", status=")) { // "(queue active)"
				f.fact(l, id, keptSender)
			} else {
				f.expired(l, id, rest)
			}
			return
		}
	case 'r':
		if string(rest) == "removed" {
			f.removed(id)
			return
		}
	case 's':
		if notice, outcomes := postfixNotice(string(rest)); notice != "" {
			f.notified(l, id, notice, outcomes)
			return
		}
	case 'p':
		if notice, outcomes := postfixNotice(string(rest)); notice != "" {
			f.notified(l, id, notice, outcomes)
			return
		}
		if bytes.HasPrefix(rest, []byte("placed on hold")) {
			f.placedOnHold(l, id)
			return
		}
	}
	f.action(l, id, rest)
}

// removed notes that the queue is done with a message.
func (f *postfix) removed(id []byte) {
	f.p.open.finishes++
	if t := f.transaction(id); t != nil {
		f.p.open.finishAt(t, f.p.open.finishes)
	}
}

// transactionKey is the key of a queue id on the gateway of the line.
func (f *postfix) transactionKey(id []byte) []byte { return append(f.key, id...) }

func (f *postfix) transaction(id []byte) *transaction {
	return f.p.open.get(f.transactionKey(id))
}

func (f *postfix) transactionOrNew(l *postfixLine, id []byte) *transaction {
	key := f.transactionKey(id)
	hash := f.p.open.byKey.hash(key)
	if t := f.p.open.find(key, hash); t != nil {
		return t
	}
	return f.p.open.addHashed(key, hash, l.e.ms)
}

// begin opens a message. Short queue ids are used again, so an id that had a
// client before is a new message now.
func (f *postfix) begin(l *postfixLine, id []byte) {
	t := f.transactionOrNew(l, id)
	if t.has(keptClient) || t.has(keptSender) || len(t.records) > 0 {
		t = f.p.open.begin(f.transactionKey(id), l.e.ms)
	}
	t.keep(keptClient, l.s, l.offset, l.raw)
}

// fact keeps a line that tells something of the whole message, and completes
// the recipients that had failed before it came.
func (f *postfix) fact(l *postfixLine, id []byte, kind byte) {
	t := f.transactionOrNew(l, id)
	if !t.keep(kind, l.s, l.offset, l.raw) {
		return
	}
	for _, r := range t.records {
		if joinFact(r, kind, text(l.raw)) {
			f.p.touched(r, l.s, l.e.ms, l.offset, 0, l.raw)
		}
	}
}

// record returns the record of a recipient, with what the kept lines tell.
func (f *postfix) record(t *transaction, id []byte, recipient mail.Path) *record {
	r, made := t.record(recipient)
	if !made {
		return r
	}
	r.Format, r.Gateway, r.Direction = f.name(), f.head.gateway, mail.DirectionUnknown
	r.QueueID = string(id)
	f.join(r, t)
	if t.facts != nil { // it is a notification itself
		for _, h := range t.facts.Hops {
			r.notifies(h.QueueID)
		}
	}
	return r
}

// join fills r with what the kept lines of t tell, and cites those that do.
func (f *postfix) join(r *record, t *transaction) {
	if r.Evidence == nil {
		r.Evidence = make([]mail.Evidence, 0, len(t.lines)+2)
	}
	f.p.keptLines(t, func(kind byte, line string, e mail.Evidence) {
		if joinFact(r, kind, line) {
			r.cite(e)
		}
	})
}

// expired reads qmgr's "from=<a>, status=expired, returned to sender", which
// names no recipient: it ends those that are still waiting. Where none was
// seen, it is one message whose recipient is not known.
func (f *postfix) expired(l *postfixLine, id, rest []byte) {
	if !bytes.Contains(rest, []byte("expired")) {
		f.doubtful(l)
		return
	}
	t := f.transactionOrNew(l, id)
	waiting := false
	for _, r := range t.records {
		if r.Outcome == mail.Deferred || r.Outcome == mail.Held {
			waiting = true
			r.Outcome = mail.Expired
			f.p.touched(r, l.s, l.e.ms, l.offset, 0, l.raw)
		}
	}
	if waiting || len(t.records) > 0 {
		return
	}
	r := f.record(t, id, "")
	joinFact(r, keptSender, text(l.raw))
	r.Outcome, r.Phase = mail.Expired, mail.PhaseQueue
	r.Reported = mail.Reported{Type: "expired", Detail: "returned to sender"}
	f.p.failed(r, l.s, l.e.ms, l.offset, 0, l.raw)
}

// notified cites the line that says who was told of the failure, and by which
// message.
func (f *postfix) notified(l *postfixLine, id []byte, notice string, outcomes []mail.Outcome) {
	next := f.transactionOrNew(l, []byte(notice))
	next.keep(keptReturned, l.s, l.offset, l.raw)
	f.p.notifying(next, string(id))
	f.p.notified(f.transaction(id), &lineAt{l.s, l.offset, l.raw, l.e.ms}, notice, outcomes...)
}

// placedOnHold reads postsuper's line: an operator holds the whole message.
func (f *postfix) placedOnHold(l *postfixLine, id []byte) {
	t := f.transactionOrNew(l, id)
	if len(t.records) == 0 {
		f.record(t, id, "")
	}
	for i, r := range t.records {
		if r.Outcome != "" && r.Outcome != mail.Deferred {
			continue
		}
		r.Outcome, r.Phase = mail.Held, mail.PhaseQueue
		r.Reported = mail.Reported{Type: "placed on hold"}
		f.p.failed(r, l.s, l.e.ms, l.offset, i, l.raw)
	}
}

// sessionKey is that of an smtpd process, whose number is used again after
// "disconnect from".
func (f *postfix) sessionKey(l *postfixLine) []byte {
	key := append(f.key, '/')
	key = append(append(key, l.e.tag...), '/')
	return append(key, l.e.pid...)
}

func (f *postfix) endSession(l *postfixLine) {
	if !f.proxied {
		return
	}
	if t := f.p.open.get(f.sessionKey(l)); t != nil {
		f.p.open.close(t)
	}
}

// unqueued reads a line about a message that has no queue id.
func (f *postfix) unqueued(l *postfixLine, rest []byte) {
	if bytes.HasPrefix(rest, []byte("client=")) {
		f.proxied = true
		f.endSession(l) // a process serves one client at a time
		f.p.open.begin(f.sessionKey(l), l.e.ms).keep(keptClient, l.s, l.offset, l.raw)
		return
	}
	f.action(l, nil, rest)
}

// unnumbered reads lines that do not start with a queue id. Those of warnings
// name it in their second place.
func (f *postfix) unnumbered(l *postfixLine) {
	b := l.e.body
	if n, again := repeatedBody(b); n > 0 {
		l.e.body, f.p.repeats = again, n-1
		f.body(l)
		f.p.repeats = 0
		return
	}
	if bytes.HasPrefix(b, []byte("proxy-reject: ")) { // before Postfix 2.10 without NOQUEUE
		f.action(l, nil, b)
		return
	}
	if !bytes.HasPrefix(b, []byte("warning: ")) {
		f.doubtful(l)
		return
	}
	id, rest, ok := queueID(b[len("warning: "):])
	if !ok || string(id) == noQueue {
		return
	}
	switch {
	case bytes.HasSuffix(rest, []byte("queue file size limit exceeded")):
		f.tooBig(l, id)
	case bytes.Contains(rest, []byte("message not accepted, try again later")):
		f.lookupProblem(l, id, rest)
	}
}

// doubtful counts a line that looks like a failure and is of no known shape.
func (f *postfix) doubtful(l *postfixLine) {
	for _, word := range []string{"reject: ", "status=deferred", "status=bounced", "status=expired", "status=undeliverable", ": discard: ", ": hold: "} {
		if bytes.Contains(l.e.body, []byte(word)) {
			l.s.unrecognised(l.offset, l.raw)
			return
		}
	}
}
