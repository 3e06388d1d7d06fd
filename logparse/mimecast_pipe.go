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
	case line[at-1] == '|':
		if _, ok := keyEnd(line, 0); ok {
			return 0
		}
		return -1
	case line[0] == '{' || line[0] == '[':
		return -1
	}
	return at
}

// readPipe reads "key=value|key=value". Keys stand in any order, the last one
// may be cut off.
func readPipe(line []byte, e *mimeEvent) {
	eq := bytes.IndexByte(line, '=')
	for pos := 0; eq >= 0; {
		key, start := line[pos:eq], eq+1
		end := 0
		end, eq = valueEnd(line, start)
		if field, ok := mimeFieldOf(key); ok {
			e.set(field, line[start:end])
		}
		pos = end + 1
	}
}

// valueEnd returns where the value at start ends, at a pipe behind which a key
// stands, and where that key ends; next is -1 behind the last one. A pipe in a
// subject is data, and so is "\|" unless a key that we know follows: some
// writers put backslashes around whole values.
func valueEnd(line []byte, start int) (end, next int) {
	for i := start; i < len(line); i++ {
		n := bytes.IndexByte(line[i:], '|')
		if n < 0 {
			break
		}
		i += n
		next, ok := keyEnd(line, i+1)
		if !ok || i > start && line[i-1] == '\\' && (next < 0 || !isKnownKey(line[i+1:next])) {
			continue
		}
		return i, next
	}
	return len(line), -1
}

// maxKey is longer than any key of the vendor.
const maxKey = 40

// keyEnd returns where the "=" of a key stands that starts at pos; -1 when the
// end of the line cut it off, and not ok when no key starts there.
func keyEnd(line []byte, pos int) (eq int, ok bool) {
	b := line[pos:min(len(line), pos+maxKey)]
	for i, c := range b {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', i > 0 && (isDigit(c) || c == '_'):
		case c == '=':
			return pos + i, i > 0
		default:
			return -1, false
		}
	}
	return -1, pos+len(b) == len(line)
}

func isKnownKey(key []byte) bool {
	if _, ok := mimeFieldOf(key); ok {
		return true
	}
	switch string(key) {
	case "SpamLimit", "SpamInfo", "TlsVer", "Cphr", "UseTls", "Virus", "Snt", "Latency", "Attempt", "ReceiptAck":
		return true
	}
	return false
}
