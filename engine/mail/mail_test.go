package mail

import (
	"encoding/json"
	"testing"
	"time"
)

func TestJSONLeavesAbsentFactsOut(t *testing.T) {
	m := Message{ID: "1", Time: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), EnvelopeFrom: NullPath, Recipient: "bob@corp.example"}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"1","time":"2026-11-23T09:00:00.000Z","envelope_from":"\u003c\u003e","recipient":"bob@corp.example"}`
	if string(data) != want {
		t.Errorf("got  %s\nwant %s", data, want)
	}
	var back Message
	if err := json.Unmarshal(data, &back); err != nil || back.Time != m.Time || back.EnvelopeFrom != NullPath {
		t.Errorf("read back: %+v, %v", back, err)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[Path]Path{
		"Alice@ACME.Example":      "alice@acme.example",
		"x@Bücher.example":        "x@xn--bcher-kva.example",
		"x@example.com.":          "x@example.com",
		NullPath:                  NullPath,
		"Print Connections":       "print connections",
		`"a b"@Example.COM`:       `"a b"@example.com`,
		"user@[IPv6:2001:DB8::1]": "user@[ipv6:2001:db8::1]",
	} {
		if got := in.Fold(); got != want {
			t.Errorf("%s folds to %s, want %s", in, got, want)
		}
	}
}
