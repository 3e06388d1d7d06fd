package listen

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// messagesOf feeds a stream to a framing in pieces that end at the given
// places.
func messagesOf(stream string, longest int, places ...int) (messages []string, rest string, cut int64, err error) {
	f := framing{longest: longest}
	var data []byte
	at := 0
	for _, place := range append(places, len(stream)) {
		data = append(data, stream[at:place]...)
		at = place
		for {
			message, used, nextErr := f.next(data, at == len(stream))
			if nextErr != nil {
				return messages, string(data), f.cut, nextErr
			}
			if used == 0 {
				break
			}
			if len(message) > 0 {
				messages = append(messages, string(message))
			}
			data = data[used:]
		}
	}
	return messages, string(data), f.cut, nil
}

var framings = map[string]struct {
	stream   string
	messages []string
	rest     string
	cut      int64
	err      error
}{
	"counted":                      {stream: "5 <1>ab6 <1>abc", messages: []string{"<1>ab", "<1>abc"}},
	"counted, a line end inside":   {stream: "6 <1>a\nb5 <1>cd", messages: []string{"<1>a\nb", "<1>cd"}},
	"counted and ended as well":    {stream: "5 <1>ab\n5 <1>cd\r\n", messages: []string{"<1>ab", "<1>cd"}},
	"counted, broken off":          {stream: "5 <1>ab50 <1>c", messages: []string{"<1>ab"}, rest: "50 <1>c"},
	"counted, broken off in count": {stream: "5 <1>ab50", messages: []string{"<1>ab"}, rest: "50"},
	"counted, too long":            {stream: "13 <1>abcdefghij5 <1>xy", messages: []string{"<1>abcde", "<1>xy"}, cut: 1},
	"counted, then not":            {stream: "5 <1>ab<1>cd\n", messages: []string{"<1>ab"}, rest: "<1>cd\n", err: errFraming},
	"counted, nothing":             {stream: "5 <1>ab0 <1>cd", messages: []string{"<1>ab"}, rest: "0 <1>cd", err: errFraming},
	"counted, beyond measure":      {stream: "5 <1>ab4294967296 <1>", messages: []string{"<1>ab"}, rest: "4294967296 <1>", err: errFraming},
	"lines":                        {stream: "<1>ab\n<1>cd\n", messages: []string{"<1>ab", "<1>cd"}},
	"lines with NUL":               {stream: "<1>ab\x00<1>cd\x00", messages: []string{"<1>ab", "<1>cd"}},
	"the last without its end":     {stream: "<1>ab\n<1>cd", messages: []string{"<1>ab", "<1>cd"}},
	"a line too long":              {stream: "<1>abcdefghij\n<1>xy\n", messages: []string{"<1>abcde", "<1>xy"}, cut: 1},
	"a line just as long":          {stream: "<1>abcde\n<1>xy\n", messages: []string{"<1>abcde", "<1>xy"}},
	"a line too long, unended":     {stream: "<1>abcdefghij", messages: []string{"<1>abcde"}, cut: 1},
	"lines that begin with digits": {stream: "2026 a\n17 b\n", messages: []string{"2026 a", "17 b"}},
	"digits alone":                 {stream: "12345", messages: []string{"12345"}},
	"nothing":                      {},
}

// TestFraming cuts each stream whole, byte by byte and in halves: it is the
// same.
func TestFraming(t *testing.T) {
	for name, c := range framings {
		t.Run(name, func(t *testing.T) {
			var every []int
			for i := range len(c.stream) {
				every = append(every, i)
			}
			for _, places := range [][]int{nil, every, {len(c.stream) / 2}} {
				messages, rest, cut, err := messagesOf(c.stream, 8, places...)
				if !slices.Equal(messages, c.messages) || !errors.Is(err, c.err) || cut != c.cut {
					t.Errorf("cut at %v: %q, %d cut, %v; want %q, %d cut, %v", places, messages, cut, err, c.messages, c.cut, c.err)
				}
				if err == nil && rest != c.rest {
					t.Errorf("cut at %v: %q is left, want %q", places, rest, c.rest)
				}
			}
		})
	}
}

// FuzzFraming holds what is true of any stream: no message is longer than the
// bound, all is done with or an error or half a message, and where the network
// cuts the stream changes nothing.
func FuzzFraming(f *testing.F) {
	for _, c := range framings {
		f.Add(c.stream, 3)
	}
	f.Fuzz(func(t *testing.T, stream string, place int) {
		place = min(max(place, 0), len(stream))
		whole, rest, _, err := messagesOf(stream, 8)
		for _, m := range whole {
			if len(m) > 8 {
				t.Errorf("%q is longer than 8", m)
			}
		}
		if strings.HasPrefix(stream, "<") && (err != nil || rest != "") {
			t.Errorf("lines: %q is left, %v", rest, err)
		}
		again, _, _, againErr := messagesOf(stream, 8, place)
		if !slices.Equal(whole, again) || !errors.Is(againErr, err) {
			t.Errorf("cut at %d: %q, %v; whole: %q, %v", place, again, againErr, whole, err)
		}
	})
}
