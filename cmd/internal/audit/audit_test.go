package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/chain"
)

func at() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// filled is a journal of five entries, closed.
func filled(t *testing.T) (path string, head Head) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "audit.jsonl")
	j, err := Open(path, at)
	if err != nil {
		t.Fatal(err)
	}
	for i, actor := range []string{"anna", "bob", "carl", "anna", "bob"} {
		if err := j.Note(Entry{Event: Search, Actor: actor, Exception: i}, "alice@acme.example"); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path, j.Head()
}

// Whatever is done to the file is found, and where.
func TestTamperingIsLocated(t *testing.T) {
	for story, tt := range map[string]struct {
		change func(lines []string) []string
		entry  int
		says   string
	}{
		"edited":          {func(l []string) []string { l[2] = strings.Replace(l[2], "carl", "dora", 1); return l }, 3, "edited"},
		"cut off":         {func(l []string) []string { return l[:3] }, 4, "cut off"},
		"cut in a line":   {func(l []string) []string { l[4] = l[4][:20]; return l }, 5, "half there"},
		"emptied":         {func([]string) []string { return nil }, 1, "cut off"},
		"one taken out":   {func(l []string) []string { return append(l[:1], l[2:]...) }, 2, "taken out"},
		"order changed":   {func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, 2, "taken out"},
		"repeated":        {func(l []string) []string { return append(l[:3], append([]string{l[2]}, l[3:]...)...) }, 4, "moved, repeated or put in"},
		"put in":          {func(l []string) []string { return append(l[:3], append([]string{forged(4)}, l[3:]...)...) }, 4, "replaced or put in"},
		"last one forged": {func(l []string) []string { return append(l[:4], forged(5)) }, 5, "replaced or put in"},
		"hash taken out":  {func(l []string) []string { l[0] = "{}\n"; return l }, 1, "does not end with its hash"},
	} {
		t.Run(story, func(t *testing.T) {
			path, _ := filled(t)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			lines := tt.change(strings.SplitAfter(strings.TrimSuffix(string(data), "\n")+"\n", "\n")[:5])
			if err := os.WriteFile(path, []byte(strings.Join(lines, "")), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = Verify(path)
			var tampered *TamperedError
			if !errors.As(err, &tampered) || tampered.Entry != tt.entry || !strings.Contains(tampered.Problem, tt.says) {
				t.Errorf("verify says %v, want entry %d and %q", err, tt.entry, tt.says)
			}
			if _, err := Open(path, at); story != "cut in a line" && err == nil {
				t.Error("it is written on")
			}
		})
	}
}

// forged is an entry whose own hash is right.
func forged(number int) string {
	line, _, err := encode(Entry{Number: number, Event: Create, Actor: "mallory", Prev: chain.Genesis})
	if err != nil {
		panic(err)
	}
	return string(line)
}

// A file that was written anew from its beginning, head and all, is found by a
// head that was kept elsewhere.
func TestAnchorFindsANewFile(t *testing.T) {
	_, anchor := filled(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	j, err := Open(path, at)
	if err != nil {
		t.Fatal(err)
	}
	for range 7 {
		if err := j.Note(Entry{Event: Login, Actor: "mallory"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Verify(path); err != nil {
		t.Fatalf("the new file holds in itself: %v", err)
	}
	kept, err := ParseHead(anchor.String())
	if err != nil {
		t.Fatal(err)
	}
	var tampered *TamperedError
	if _, err := Verify(path, kept); !errors.As(err, &tampered) || tampered.Entry != 5 {
		t.Errorf("with the anchor: %v, want entry 5", err)
	}
}

func TestHalfAnEntryIsSetAside(t *testing.T) {
	path, _ := filled(t)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"n":6,"ti`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	j, err := Open(path, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Note(Entry{Event: Login, Actor: "anna"}); err != nil {
		t.Fatal(err)
	}
	if last, err := Verify(path); err != nil || last.Number != 6 {
		t.Errorf("%v, %v", last, err)
	}
}

func TestForgottenPersonLeavesTheChainWhole(t *testing.T) {
	path, _ := filled(t)
	j, err := Open(path, at)
	if err != nil {
		t.Fatal(err)
	}
	list, err := j.List()
	if err != nil || len(list) != 5 {
		t.Fatal(list, err)
	}
	ref := list[0].People[0]
	if j.Person(ref) != "alice@acme.example" || list[4].People[0] != ref {
		t.Errorf("the reference stands for %q", j.Person(ref))
	}
	if known, err := j.Forget("Alice@acme.example"); !known || err != nil {
		t.Fatal(known, err)
	}
	for _, name := range []string{path, path + ".people"} {
		if data, _ := os.ReadFile(name); bytes.Contains(data, []byte("alice")) {
			t.Errorf("%s still names her", name)
		}
	}
	if j.Person(ref) != "" {
		t.Error("the reference still stands for her")
	}
	if _, err := Verify(path); err != nil {
		t.Errorf("the chain: %v", err)
	}
}

// TestPowerCut: a head that was not on disk yet is none, and half a line of the
// people takes no other with it.
func TestPowerCut(t *testing.T) {
	path, _ := filled(t)
	if err := os.WriteFile(path+".head", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	people, err := os.ReadFile(path + ".people")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".people", people[:len(people)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(path, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Note(Entry{Event: View, Actor: "anna"}, "bob@corp.example"); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err = Open(path, at); err != nil {
		t.Fatal(err)
	}
	list, err := j.List()
	if err != nil || len(list) != 6 {
		t.Fatal(list, err)
	}
	if got := j.Person(list[5].People[0]); got != "bob@corp.example" {
		t.Errorf("the reference stands for %q", got)
	}
}
