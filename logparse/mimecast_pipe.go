package logparse

import "bytes"

// pipeStart returns where the first key of a pipe form line stands: behind the
// prefix of a forwarder, if there is one. It returns -1 for other lines.
func pipeStart(line []byte) int {
	const stamp = "datetime="
	if bytes.HasPrefix(line, []byte(stamp)) {
		if bytes.IndexByte(line, '|') < 0 {
			return -1
		}
		return 0
	}
	at := bytes.Index(line, []byte(stamp))
	code := bytes.Index(line, []byte("aCode="))
	switch {
	case at < 0 || code < 0 || bytes.IndexByte(line, '|') < 0:
		return -1
	case line[at-1] == '|' && startsKey(line, 0):
		return 0
	case line[at-1] == '|' || line[0] == '{' || line[0] == '[':
		return -1
	}
	return at
}

// readPipe reads "key=value|key=value". Keys stand in any order, the last one
// may be cut off.
func readPipe(line []byte, e *mimeEvent) {
	for pos := 0; pos < len(line); {
		eq := bytes.IndexByte(line[pos:], '=')
		if eq < 0 {
			return
		}
		key := line[pos : pos+eq]
		start := pos + eq + 1
		end := pipeEnd(line, start)
		if field, ok := mimeFieldOf(key); ok {
			e.set(field, line[start:end])
		}
		pos = end + 1
	}
}

// pipeEnd returns where the value at start ends: at a pipe behind which a key
// stands. A pipe in a subject is data, and so is "\|" unless a key that we
// know follows: some writers put backslashes around whole values.
func pipeEnd(line []byte, start int) int {
	for i := start; i < len(line); i++ {
		n := bytes.IndexByte(line[i:], '|')
		if n < 0 {
			break
		}
		i += n
		if !startsKey(line, i+1) {
			continue
		}
		if i > start && line[i-1] == '\\' && !startsKnownKey(line[i+1:]) {
			continue
		}
		return i
	}
	return len(line)
}

// maxKey is longer than any key of the vendor.
const maxKey = 40

// startsKey reports whether "key=" stands at pos, or the start of a key that
// the end of the line cut off.
func startsKey(line []byte, pos int) bool {
	b := line[pos:min(len(line), pos+maxKey)]
	for i, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', i > 0 && (isDigit(c) || c == '_'):
		case c == '=':
			return i > 0
		default:
			return false
		}
	}
	return pos+len(b) == len(line)
}

func startsKnownKey(b []byte) bool {
	eq := bytes.IndexByte(b, '=')
	if eq < 0 {
		return false
	}
	if _, ok := mimeFieldOf(b[:eq]); ok {
		return true
	}
	switch string(b[:eq]) {
	case "SpamLimit", "SpamInfo", "TlsVer", "Cphr", "UseTls", "Virus", "Snt", "Latency", "Attempt", "ReceiptAck":
		return true
	}
	return false
}
