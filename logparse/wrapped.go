package logparse

import (
	"bytes"
	"strconv"
	"time"
)

// unwrapped returns the line that a collector has put into one of its own, and
// false where line is one itself:
//
//	{"log":"Nov 23 08:35:54 mx1 postfix/smtpd[7]: ...\n","stream":"stdout","time":"..."}   Docker's json-file
//	{"__REALTIME_TIMESTAMP":"1700000000000000","_HOSTNAME":"mx1","MESSAGE":"...",...}      journalctl -o json
//	2026-11-23T08:35:54.123456789Z stdout F Nov 23 08:35:54 mx1 ...                        a container runtime's (CRI)
//	"Nov 23 08:35:54 mx1 postfix/smtpd[7]: ...",,,,                                        a spreadsheet's
//
// A line that has no stamp of its own gets the collector's.
func unwrapped(line []byte) (inner []byte, ok bool) {
	switch c := line[0]; {
	case c == '{':
		return fromJSON(line)
	case c == '"' || line[len(line)-1] == ',':
		return fromSpreadsheet(line)
	case isDigit(c) && len(line) > 40 && line[4] == '-' && line[10] == 'T':
		return fromRuntime(line)
	}
	return nil, false
}

// fromJSON reads the lines of Docker and of the journal. Their keys are looked
// for first: most JSON in mail logs is a gateway's own.
func fromJSON(line []byte) (inner []byte, ok bool) {
	switch {
	case bytes.HasPrefix(line, []byte(`{"log":"`)):
		o := objectFields(line)
		said := bytes.TrimRight([]byte(o.get("log")), "\r\n")
		return stamped(said, o.get("time"), ""), len(said) > 0
	case bytes.Contains(line, []byte(`"__REALTIME_TIMESTAMP"`)) && bytes.Contains(line, []byte(`"MESSAGE"`)):
		return fromJournal(objectFields(line))
	}
	return nil, false
}

// fromJournal makes a syslog line of a journal entry, systemd.journal-fields(7).
func fromJournal(o jsonFields) (inner []byte, ok bool) {
	micro, err := strconv.ParseInt(o.get("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"), 10, 64)
	message := journalText(o)
	if err != nil || message == "" {
		return nil, false
	}
	tag := o.get("SYSLOG_IDENTIFIER", "_COMM")
	if pid := o.get("SYSLOG_PID", "_PID"); pid != "" {
		tag += "[" + pid + "]"
	}
	said := []byte(tag + ": " + message)
	return stamped(said, time.UnixMicro(micro).UTC().Format("2006-01-02T15:04:05.000000Z"), o.get("_HOSTNAME")), true
}

// journalText is the message of an entry: text, or a list of bytes where it is
// no UTF-8.
func journalText(o jsonFields) string {
	f, ok := o.find("MESSAGE")
	if !ok || f.kind != jsonArray {
		return o.get("MESSAGE")
	}
	var said []byte
	for number := range bytes.SplitSeq(bytes.Trim(f.raw, "[]"), []byte(",")) {
		n, err := strconv.ParseUint(string(bytes.TrimSpace(number)), 10, 8)
		if err != nil {
			return ""
		}
		said = append(said, byte(n))
	}
	return text(said)
}

// fromRuntime reads "STAMP stdout F " and what follows.
func fromRuntime(line []byte) (inner []byte, ok bool) {
	at := bytes.IndexByte(line[:40], ' ')
	if at < 20 {
		return nil, false
	}
	said := line[at+1:]
	if !bytes.HasPrefix(said, []byte("stdout ")) && !bytes.HasPrefix(said, []byte("stderr ")) {
		return nil, false
	}
	said = said[len("stdout "):]
	if len(said) < 3 || said[0] != 'F' && said[0] != 'P' || said[1] != ' ' {
		return nil, false
	}
	return stamped(said[2:], string(line[:at]), ""), true
}

// fromSpreadsheet takes a syslog line out of the quotes and from before the
// empty cells that a spreadsheet has put around it.
func fromSpreadsheet(line []byte) (inner []byte, ok bool) {
	inner = bytes.TrimRight(line, ",")
	if len(inner) > 2 && inner[0] == '"' && inner[len(inner)-1] == '"' {
		inner = bytes.ReplaceAll(inner[1:len(inner)-1], []byte(`""`), []byte(`"`))
	}
	if len(line)-len(inner) < 2 || !hasStamp(inner) {
		return nil, false
	}
	return inner, true
}

// stamped returns a line with the collector's stamp and host before it, unless
// it has a stamp.
func stamped(said []byte, stamp, host string) []byte {
	if hasStamp(said) {
		return said
	}
	line := append([]byte(stamp), ' ')
	if host != "" {
		line = append(append(line, host...), ' ')
	}
	return append(line, said...)
}

// hasStamp reports whether a line starts as a syslog line does.
func hasStamp(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	var c clock
	n := priority(line)
	if n > 0 && bytes.HasPrefix(line[n:], []byte("1 ")) {
		return true
	}
	_, taken, ok := c.stamp(line[n:])
	return ok && n+taken < len(line) && line[n+taken] == ' '
}
