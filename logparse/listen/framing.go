package listen

import (
	"bytes"
	"errors"
	"strconv"
)

// framing cuts the messages out of a connection's bytes (RFC 6587 section 3.4):
// by octet counting, "123 <34>1 ...", or by a line feed or NUL after each. The
// first bytes say which of them a sender uses; it keeps to it.
type framing struct {
	longest int // bytes of a message; the rest of a longer one is skipped

	known, counted bool
	skip           int  // bytes left of a counted message that was cut
	skipping       bool // until the line feed of one that was cut
	cut            int64
}

// mostCounted is the longest message that is skipped; who announces a longer
// one does not speak this protocol.
const mostCounted = 16 << 20

var errFraming = errors.New("its framing is none that RFC 6587 knows")

// next returns the first message in data, which is only valid until data
// changes, and how many bytes are done with. nil with used > 0: there was none
// in them. used == 0: more is needed. At eof nothing follows.
func (f *framing) next(data []byte, eof bool) (message []byte, used int, err error) {
	if len(data) == 0 {
		return nil, 0, nil
	}
	if !f.known {
		if f.counted, f.known = countedFraming(data, eof); !f.known {
			return nil, 0, nil
		}
	}
	if f.counted {
		return f.nextCounted(data)
	}
	return f.nextLine(data, eof)
}

// countedFraming reports whether a connection begins with a length, a space and
// a priority. known = false: there is too little of it yet.
func countedFraming(data []byte, eof bool) (counted, known bool) {
	n := digits(data)
	switch {
	case n == 0 || n > len("16777216") || data[0] == '0':
		return false, true
	case len(data) < n+2:
		return false, eof
	}
	return data[n] == ' ' && data[n+1] == '<', true
}

func digits(data []byte) int {
	n := 0
	for n < len(data) && data[n] >= '0' && data[n] <= '9' {
		n++
	}
	return n
}

func (f *framing) nextCounted(data []byte) ([]byte, int, error) {
	if f.skip > 0 {
		n := min(f.skip, len(data))
		f.skip -= n
		return nil, n, nil
	}
	if n := len(data) - len(bytes.TrimLeft(data, "\r\n\x00")); n > 0 {
		return nil, n, nil // some senders end their messages as well
	}
	n := digits(data)
	if n == len(data) && n <= len("16777216") {
		return nil, 0, nil
	}
	length, err := strconv.Atoi(string(data[:n]))
	if err != nil || length == 0 || length > mostCounted || data[n] != ' ' {
		return nil, 0, errFraming
	}
	n++
	taken := min(length, f.longest)
	if len(data) < n+taken {
		return nil, 0, nil
	}
	if length > taken {
		f.skip = length - taken
		f.cut++
	}
	return data[n : n+taken], n + taken, nil
}

func (f *framing) nextLine(data []byte, eof bool) ([]byte, int, error) {
	end := bytes.IndexAny(data, "\n\x00")
	if f.skipping {
		if end < 0 {
			return nil, len(data), nil
		}
		f.skipping = false
		return nil, end + 1, nil
	}
	switch {
	case end >= 0 && end <= f.longest:
		return data[:end], end + 1, nil
	case end >= 0 || len(data) > f.longest:
		f.skipping = true
		f.cut++
		return data[:f.longest], f.longest, nil
	case eof:
		return data, len(data), nil
	}
	return nil, 0, nil
}
