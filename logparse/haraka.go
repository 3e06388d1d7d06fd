package logparse

import (
	"bytes"
	"strings"
)

// haraka reads the log of Haraka (haraka.github.io, "Logging") in its three
// forms: "[LEVEL] [uuid] [plugin] words", logfmt and JSON.
//
// A connection's uuid counts its transactions ("UUID.1"), and a queued message
// its deliveries ("UUID.1.1"). A plugin's denial stands on a line of its own,
// which for senders and recipients is followed by what the client was told.
type haraka struct {
	stateless
	p   *Parser
	key []byte
}

func newHaraka(p *Parser) *haraka { return &haraka{p: p} }

func (f *haraka) name() string { return "haraka" }

// harakaLine is a line that was taken apart.
type harakaLine struct {
	lineAt
	gateway    string
	uuid       string     // "UUID", "UUID.1", "UUID.1.1", "-"
	source     string     // plugin
	said       string     // the message
	words      string     // all the words, message first: they tell what kind of line it is
	members    jsonFields // those of a JSON line
	rest       string     // key=value, which stand behind the message in logfmt
	connection string     // the uuid's first part
	message    string     // its first two
}

func (f *haraka) detect(line []byte) bool {
	_, ok := harakaFields(line)
	return ok
}

// harakaLevels are the levels of logger.js.
var harakaLevels = []string{"DATA", "PROTOCOL", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "EMERG"}

// harakaFields takes a line apart in whichever form it has.
func harakaFields(line []byte) (l harakaLine, ok bool) {
	head := line[:min(len(line), 200)]
	switch {
	case bytes.Contains(head, []byte(`"uuid"`)) && bytes.Contains(head, []byte(`"level"`)) && bytes.Contains(head, []byte(`"source"`)):
		ok = l.json(jsonBody(line))
	case bytes.Contains(head, []byte("level=")) && bytes.Contains(head, []byte(" uuid=")):
		ok = l.logfmt(text(line))
	default:
		for at := 0; ; {
			open := bytes.IndexByte(head[at:], '[')
			if open < 0 {
				return l, false
			}
			at += open + 1
			if at == len(head) || bytes.IndexByte([]byte("ACDEINPW"), head[at]) < 0 { // no level begins so
				continue
			}
			if level, rest, found := strings.Cut(text(line[at:min(len(line), at+9)]), "]"); found && isOneOf(level, harakaLevels) && (rest == "" || rest[0] == ' ') {
				return l, l.brackets(text(line[at+len(level)+1:]))
			}
		}
	}
	return l, ok
}

func isOneOf(s string, list []string) bool {
	for _, one := range list {
		if s == one {
			return true
		}
	}
	return false
}

// brackets reads " [uuid] [plugin] words".
func (l *harakaLine) brackets(s string) bool {
	uuid, rest, ok := strings.Cut(strings.TrimPrefix(s, " ["), "] [")
	if !ok || len(uuid) > 60 || strings.Trim(uuid, "0123456789ABCDEFabcdef-.") != "" {
		return false
	}
	source, words, ok := strings.Cut(rest, "]")
	if !ok || len(source) > 100 {
		return false
	}
	l.setUUID(uuid)
	l.source, l.said = source, strings.TrimLeft(words, " ")
	l.words = l.said
	return true
}

// logfmt reads `level=NOTICE uuid=X source=core message="words" key=value`.
func (l *harakaLine) logfmt(s string) bool {
	_, s, _ = strings.Cut(s, "level=")
	l.setUUID(harakaValue(s, "uuid"))
	l.source = harakaValue(s, "source")
	l.said = harakaValue(s, "message")
	if _, rest, ok := strings.Cut(s, ` message="`+l.said+`"`); ok && l.said != "" {
		l.rest = rest
	} else {
		_, rest, _ := strings.Cut(s, " message=")
		l.said = strings.TrimPrefix(rest, `""`)
	}
	l.said = strings.TrimLeft(l.said, " ")
	l.words = strings.TrimLeft(l.said+l.rest, " ")
	return l.uuid != ""
}

// json reads {"level":"NOTICE","uuid":"X","source":"core","message":"words","key":"value"}.
func (l *harakaLine) json(body []byte) bool {
	l.members = objectFields(body)
	l.setUUID(l.members.get("uuid"))
	l.source, l.said = l.members.get("source"), strings.TrimLeft(l.members.get("message"), " ")
	words := l.said
	for _, member := range l.members {
		switch member.key {
		case "level", "timestamp", "uuid", "source", "message":
		default:
			words += " " + member.key + "=" + member.text()
		}
	}
	l.words = strings.TrimLeft(words, " ")
	return l.uuid != ""
}

// value returns what the line gives for a key, "" when it does not name it.
func (l *harakaLine) value(key string) string {
	if value := l.members.get(key); value != "" {
		return value
	}
	if value := harakaValue(l.rest, key); value != "" {
		return value
	}
	return harakaValue(l.said, key)
}

func (l *harakaLine) setUUID(uuid string) {
	l.uuid = uuid
	l.connection, l.message = uuid, uuid
	if dot := strings.IndexByte(uuid, '.'); dot > 0 {
		l.connection = uuid[:dot]
		if second := strings.IndexByte(uuid[dot+1:], '.'); second > 0 {
			l.message = uuid[:dot+1+second]
		}
	}
}

// harakaValue returns the value of key=value or key="value", whose quotes are
// doubled or escaped by nobody: the last quote before the next key ends it.
func harakaValue(s, key string) string {
	if !strings.HasPrefix(s, key+"=") {
		i := strings.Index(s, " "+key+"=")
		if i < 0 {
			return ""
		}
		s = s[i+1:]
	}
	s = s[len(key)+1:]
	switch {
	case strings.HasPrefix(s, `"`):
		s = s[1:]
		for end := 0; ; end++ {
			quote := strings.IndexByte(s[end:], '"')
			if quote < 0 {
				return s
			}
			end += quote
			rest := s[end+1:]
			word, _, equals := strings.Cut(strings.TrimPrefix(rest, " "), "=")
			if rest == "" || equals && rest[0] == ' ' && !strings.ContainsAny(word, " \"") {
				return s[:end]
			}
		}
	case strings.HasPrefix(s, "<"):
		return s[:angleEnd(s)]
	}
	value, _, _ := strings.Cut(s, " ")
	return value
}

func (f *haraka) line(s *Stream, offset int64, line []byte) bool {
	l, ok := harakaFields(line)
	if !ok {
		return s.pinned == f
	}
	l.lineAt = lineAt{s: s, offset: offset, raw: line}
	if line[0] == '{' {
		l.ms = epochMilli(&s.clock, objectFields(line).get("timestamp"))
	} else {
		var e envelope
		n := s.clock.stampAndHost(line, &e)
		l.ms = e.ms
		if e.tag != nil || n > 0 && e.takeTag(line[n:]) && bytes.HasPrefix(e.tag, []byte("haraka")) {
			l.gateway = text(e.host)
		}
	}
	if l.ms != 0 {
		s.seen(l.ms)
	}
	f.read(&l)
	return true
}
