package logparse

import "bytes"

// envelope is what syslog puts around a message: RFC 3164 with or without
// priority, RFC 5424, an ISO stamp in the old place, or nothing at all.
type envelope struct {
	ms   int64  // Unix milliseconds, 0 = no stamp
	host []byte // empty = none
	tag  []byte // "postfix/submission/smtpd[27172]"
	pid  []byte // RFC 5424 has the process id apart from the tag
	body []byte // what the program said
}

// byteOrderMark is U+FEFF in UTF-8.
var byteOrderMark = []byte("\xEF\xBB\xBF")

// stampAndHost reads up to the tag. It returns the bytes taken, 0 when the
// line has neither.
func (c *clock) stampAndHost(line []byte, e *envelope) int {
	n := 0
	if line[0] == byteOrderMark[0] && bytes.HasPrefix(line, byteOrderMark) {
		n = len(byteOrderMark) // some editor's or collector's, at the start of a file
	}
	if n < len(line) && line[n] == '<' {
		n += priority(line[n:])
	}
	if bytes.HasPrefix(line[n:], []byte("1 ")) && n > 0 {
		return n + c.rfc5424(line[n:], e)
	}
	ms, taken, ok := c.stamp(line[n:])
	if !ok || n+taken >= len(line) || line[n+taken] != ' ' {
		return 0
	}
	n += taken + 1
	e.ms = ms
	if n < len(line) && line[n] == '<' { // BusyBox: "<mail.notice>"
		if i := bytes.IndexByte(line[n:], ' '); i > 0 && line[n+i-1] == '>' {
			n += i + 1
		}
	}
	i := bytes.IndexByte(line[n:], ' ')
	if i <= 0 || line[n+i-1] == ':' { // the tag stands where the host would
		return n
	}
	e.host = line[n : n+i]
	n += i + 1
	// A relay that took the line for one without stamp has put its own before.
	if ms, taken, ok := c.stamp(line[n:]); ok && n+taken < len(line) && line[n+taken] == ' ' {
		if i := bytes.IndexByte(line[n+taken+1:], ' '); i > 0 && line[n+taken+i] != ':' {
			e.ms, e.host = ms, line[n+taken+1:n+taken+1+i]
			n += taken + 1 + i + 1
		}
	}
	return n
}

// stamp reads a stamp of one of the forms that syslog daemons and
// journalctl(1) write, and returns the bytes it takes.
func (c *clock) stamp(b []byte) (ms int64, n int, ok bool) {
	if len(b) == 0 || !isDigit(b[0]) {
		if len(b) > 24 && b[3] == ' ' && isDigit(b[4]) && b[8] == '-' { // short-full: "Mon 2026-11-23 08:35:54 UTC"
			ms, n, ok = c.iso(b[4:])
			n += 4
			if bytes.HasPrefix(b[n:], []byte(" UTC ")) {
				n += len(" UTC")
			}
			return ms, n, ok
		}
		return c.syslogStamp(b)
	}
	if ms, n, ok = c.iso(b); ok {
		return ms, n, ok
	}
	return epoch(b)
}

// epoch reads "1700000000.123456", seconds since 1970: short-unix.
func epoch(b []byte) (ms int64, n int, ok bool) {
	for n < len(b) && n < 10 && isDigit(b[n]) {
		ms = ms*10 + int64(b[n]-'0')
		n++
	}
	if n < 10 || n == len(b) || b[n] != '.' {
		return 0, 0, false
	}
	fraction, fn := fractionOf(b[n:])
	return ms*1000 + fraction, n + fn, true
}

// priority returns the length of "<134>", 0 when there is none.
func priority(line []byte) int {
	for i := 1; i < len(line) && i < 5; i++ {
		if line[i] == '>' && i > 1 {
			return i + 1
		}
		if !isDigit(line[i]) {
			break
		}
	}
	return 0
}

// rfc5424 reads "1 STAMP HOST APP PROCID MSGID SD " and leaves tag and pid.
func (c *clock) rfc5424(b []byte, e *envelope) int {
	n := len("1 ")
	var fields [5][]byte
	for i := range fields {
		end := bytes.IndexByte(b[n:], ' ')
		if end < 0 {
			return n
		}
		fields[i] = b[n : n+end]
		n += end + 1
	}
	if ms, _, ok := c.iso(fields[0]); ok {
		e.ms = ms
	}
	nilValue := func(f []byte) []byte {
		if string(f) == "-" {
			return nil
		}
		return f
	}
	e.host, e.tag, e.pid = nilValue(fields[1]), nilValue(fields[2]), nilValue(fields[3])
	n += structuredData(b[n:])
	if n < len(b) && b[n] == ' ' {
		n++
	}
	if bytes.HasPrefix(b[n:], byteOrderMark) { // RFC 5424, 6.4
		n += len(byteOrderMark)
	}
	return n
}

// structuredData returns the length of "-" or "[id name=\"value\"]...".
func structuredData(b []byte) int {
	if len(b) > 0 && b[0] == '-' {
		return 1
	}
	quoted := false
	for i := 0; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case !quoted && b[i] == ']' && (i+1 == len(b) || b[i+1] != '['):
			return i + 1
		case !quoted && i == 0 && b[i] != '[':
			return 0
		}
	}
	return 0
}

// takeTag reads "postfix/smtpd[27172]: " and the Solaris "[ID 197553 mail.info] "
// behind it. It returns false when b does not start with a tag.
func (e *envelope) takeTag(b []byte) bool {
	i := bytes.IndexByte(b, ':')
	if i <= 0 {
		return false
	}
	e.tag = b[:i]
	if b[i-1] != ']' && bytes.IndexByte(e.tag, ' ') >= 0 {
		return false
	}
	i++
	if i < len(b) && b[i] == ' ' {
		i++
	}
	e.body = b[i:]
	if len(e.body) > 0 && e.body[0] == '[' {
		e.body = withoutSolarisID(e.body)
	}
	return true
}

func withoutSolarisID(body []byte) []byte {
	if !bytes.HasPrefix(body, []byte("[ID ")) {
		return body
	}
	if i := bytes.Index(body, []byte("] ")); i > 0 {
		return body[i+2:]
	}
	return body
}
