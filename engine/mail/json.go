package mail

import (
	"bytes"
	"encoding/json"
	"time"
)

// timeForm is RFC 3339 in UTC with milliseconds, always three digits, so that
// the texts of two times order as the times do.
const timeForm = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes times in UTC with milliseconds and leaves absent facts out.
func (m Message) MarshalJSON() ([]byte, error) {
	type plain Message
	return Unescaped(struct {
		ID   string `json:"id,omitempty"`
		Time string `json:"time,omitempty"`
		Last string `json:"last,omitempty"`
		plain
	}{m.ID, Stamp(m.Time), Stamp(m.Last), plain(m)})
}

// MarshalJSON writes times as those of a message.
func (h Hop) MarshalJSON() ([]byte, error) {
	type plain Hop
	return Unescaped(struct {
		Time string `json:"time,omitempty"`
		Last string `json:"last,omitempty"`
		plain
	}{Stamp(h.Time), Stamp(h.Last), plain(h)})
}

// Unescaped is JSON in which "<>" is for people to read; who embeds it in HTML
// escapes it there.
func Unescaped(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// Stamp writes a time as every JSON of the program does: RFC 3339, UTC, three
// digits of milliseconds. The zero time is absent: "".
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeForm)
}
