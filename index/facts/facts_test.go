package facts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

func messages() []mail.Message {
	at, score, none := time.Date(2026, 11, 23, 9, 14, 3, 5e6, time.UTC), 61.5, 0.0
	return []mail.Message{
		{ID: "1", Time: at, Last: at.Add(time.Minute), EnvelopeFrom: "alice@acme.example", HeaderFrom: "a@b.example", HeaderFromName: "Alice", Recipient: "bob@corp.example", OriginalRecipient: "all@corp.example",
			Client: mail.Client{IP: "192.0.2.1", Name: "mx.example", Helo: "h"}, Outcome: mail.Rejected, Phase: mail.PhaseRcpt, Direction: mail.Inbound, Subject: "s", Reply: mail.Reply{Code: 550, Enhanced: "5.7.1", Text: "no"},
			Reported: mail.Reported{Type: "t", Rule: "r", Detail: "d"}, Remote: mail.Remote{Name: "n", IP: "198.51.100.1"}, Auth: mail.Auth{SPF: "pass", DKIM: "fail", DMARC: "none"}, Gateway: "mx1", Format: "postfix", SpamScore: &score, Attempts: 3, Size: 1 << 40},
		{ID: "2", EnvelopeFrom: "<>", SpamScore: &none},
		{ID: "3", Recipient: "bob@corp.example", Reply: mail.Reply{Text: "\xff\x00"}},
	}
}

func TestMessagesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, want := range [][]mail.Message{messages(), {}} {
		b := NewBuilder()
		for i := range want {
			b.Add(&want[i])
		}
		if err := b.Write(path); err != nil {
			t.Fatal(err)
		}
		c, err := Read(path)
		if err != nil || c.Len() != len(want) {
			t.Fatalf("%+v, %v", c, err)
		}
		for i := range want {
			got := mail.Message{Subject: "left from the one before"}
			c.Message(i, &got)
			if diff := cmp.Diff(want[i], got); diff != "" || c.ID(i) != want[i].ID {
				t.Errorf("message %d (-want +got):\n%s", i, diff)
			}
		}
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	b := NewBuilder()
	for _, m := range messages() {
		b.Add(&m)
	}
	if err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		broken := append([]byte(nil), whole...)
		broken[at] ^= 0x55
		for _, data := range [][]byte{broken, whole[:at]} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if c, err := Read(path); err != nil && !errors.Is(err, ErrCorrupt) || err == nil && len(data) < len(whole) {
				t.Fatalf("byte %d: %v, %v", at, c, err)
			}
		}
	}
}

// FuzzContents: whatever a file holds, reading it ends in columns that can be
// looked at or in an error.
func FuzzContents(f *testing.F) {
	b := NewBuilder()
	for _, m := range messages() {
		b.Add(&m)
	}
	f.Add(b.contents())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseContents(data)
		if err != nil {
			return
		}
		var m mail.Message
		for i := range c.Len() {
			c.Message(i, &m)
		}
	})
}
