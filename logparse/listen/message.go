package listen

import (
	"bytes"
	"fmt"
	"net/netip"
	"regexp"
	"time"
)

// bareTag is a message that has a priority and a tag, and neither stamp nor
// host.
var bareTag = regexp.MustCompile(`^<\d{1,3}>[A-Za-z][A-Za-z0-9_./-]{0,47}(\[\d{1,10}\])?: `)

// oneLine makes one line of a message as it arrived; nil when nothing is in it.
// Line ends in it and other control characters are escaped the way rsyslog
// writes them ("#012"). A message with a tag alone gets its stamp and host, as
// RFC 3164 section 4.3.2 asks of who takes it on. Nothing else is changed: what
// it says, and in which form, is for the parser.
func oneLine(message []byte, from netip.Addr, now time.Time) []byte {
	message = bytes.TrimRight(message, "\r\n\x00")
	if len(message) == 0 {
		return nil
	}
	if bareTag.Match(message) {
		end := bytes.IndexByte(message, '>') + 1
		stamped := append([]byte(nil), message[:end]...)
		stamped = fmt.Appendf(stamped, "%s %s ", now.UTC().Format("2006-01-02T15:04:05.000Z"), from)
		message = append(stamped, message[end:]...)
	}
	if bytes.ContainsFunc(message, isControl) {
		return escaped(message)
	}
	return message
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

func escaped(message []byte) []byte {
	var line []byte
	for _, b := range message {
		if isControl(rune(b)) {
			line = fmt.Appendf(line, "#%03o", b)
		} else {
			line = append(line, b)
		}
	}
	return line
}
