package raw

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"mailwhy/engine/mail"
)

// messages makes n messages from the i-th on, of two lines each.
func messages(i, n int) []mail.Message {
	var list []mail.Message
	for ; n > 0; n-- {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		queue, sender := fmt.Sprintf("4Q%09X", r.Uint32()), fmt.Sprintf("user%d@d%d.example", r.IntN(3000), r.IntN(500))
		list = append(list, mail.Message{ID: fmt.Sprintf("%013d-%016x-%012d-000", 1_763_000_000_000+i*250, 7, i*400), Evidence: []mail.Evidence{
			{File: "maillog", Offset: int64(i * 400), Text: fmt.Sprintf("2026-11-20T08:%02d:%02d.%06d+00:00 mx1 postfix/qmgr[70]: %s: from=<%s>, size=%d, nrcpt=1 (queue active)", i/60%60, i%60, r.IntN(1_000_000), queue, sender, r.IntN(100_000))},
			{File: "maillog", Offset: int64(i*400 + 150), Text: fmt.Sprintf("2026-11-20T08:%02d:%02d.%06d+00:00 mx1 postfix/smtp[%d]: %s: to=<u%d@corp.example>, relay=mx.example.org[198.51.100.%d]:25, delay=%.1f, delays=0.1/0/0.3/0.6, dsn=4.2.0, status=deferred (host mx.example.org[198.51.100.%d] said: 450 4.2.0 try later (in reply to RCPT TO command))", i/60%60, i%60, r.IntN(1_000_000), r.IntN(30_000), queue, r.IntN(5000), r.IntN(256), r.Float64()*10, r.IntN(256))},
		}})
		i++
	}
	return list
}

func withoutText(list []mail.Message) []mail.Message {
	var bare []mail.Message
	for _, m := range list {
		m.Evidence = slices.Clone(m.Evidence)
		for i := range m.Evidence {
			m.Evidence[i].Text = ""
		}
		bare = append(bare, m)
	}
	return bare
}

func open(t *testing.T, path string, sample []byte) *Store {
	t.Helper()
	s, err := Open(path, sample)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// kept counts the lines that the store gives back, and fails on one that is
// not what was put.
func kept(t *testing.T, s *Store, list []mail.Message) int {
	t.Helper()
	got := withoutText(list)
	check(t, s.Fill(got))
	n := 0
	for i := range list {
		for j, e := range got[i].Evidence {
			if e.Text != "" && e.Text != list[i].Evidence[j].Text {
				t.Fatalf("%s+%d is %q, want %q", list[i].ID, e.Offset, e.Text, list[i].Evidence[j].Text)
			}
			if e.Text != "" {
				n++
			}
		}
	}
	return n
}

func TestLinesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw")
	list := messages(0, 3000)
	s := open(t, path, nil)
	for at := 0; at < len(list); at += 300 {
		check(t, s.Put(list[at:at+300]))
	}
	size := s.Size()
	check(t, s.Put(list))
	if s.Size() != size {
		t.Errorf("lines put again grew the store from %d to %d bytes", size, s.Size())
	}
	check(t, s.Close())
	s = open(t, path, nil)
	if n := kept(t, s, list); n != 6000 {
		t.Errorf("%d of 6000 lines came back", n)
	}
	check(t, s.Put(list))
	if s.Size() != size {
		t.Errorf("after reopening, lines put again grew the store from %d to %d bytes", size, s.Size())
	}
	if n := kept(t, s, messages(5000, 10)); n != 0 {
		t.Errorf("%d lines of messages that were never put", n)
	}
}

// TestTornEnds cuts the file at every kind of place, and damages a byte, as a
// power cut may: what comes before is kept, and the store can be written on.
func TestTornEnds(t *testing.T) {
	dir := t.TempDir()
	list := messages(0, 60)
	path := filepath.Join(dir, "raw")
	s := open(t, path, nil)
	var ends []int64 // after each batch
	for at := 0; at < len(list); at += 10 {
		check(t, s.Put(list[at:at+10]))
		ends = append(ends, s.Size())
	}
	data, err := os.ReadFile(path)
	check(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 150 {
		torn := slices.Clone(data)
		at := r.IntN(len(data))
		switch n % 3 {
		case 0:
			torn = torn[:at]
		case 1:
			clear(torn[at:])
		case 2: // a damaged magic of the file is another program's file
			at = headSize
			torn[at+r.IntN(len(data)-at)] ^= 0x40
		}
		path := filepath.Join(dir, "torn")
		check(t, os.WriteFile(path, torn, 0o600))
		s := open(t, path, nil)
		batches := 0
		if n%3 == 2 { // the others may follow it
			at = headSize
		}
		for batches < len(ends) && ends[batches] <= int64(at) {
			batches++
		}
		if got := kept(t, s, list); got < batches*20 {
			t.Fatalf("cut at %d: %d lines, want the %d before it", at, got, batches*20)
		}
		check(t, s.Put(list))
		if got := kept(t, s, list); got != 120 {
			t.Fatalf("cut at %d and written on: %d of 120 lines", at, got)
		}
		check(t, s.Close())
	}
}

func TestRewriteKeepsWhatItIsAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw")
	list := messages(0, 2000)
	s := open(t, path, []byte("a dictionary that names "+list[1].ID))
	for i := range list { // as they come one by one
		check(t, s.Put(list[i:i+1]))
	}
	before := s.Size()
	gone := map[uint64]bool{}
	for _, e := range list[1].Evidence {
		gone[Key(list[1].ID, e)] = true
	}
	check(t, s.Rewrite(before, func(key uint64, _ []byte, late bool) bool { return !late && !gone[key] }))
	for range 2 {
		if n := kept(t, s, list); n != 3998 {
			t.Errorf("%d lines, want 3998", n)
		}
		check(t, s.Close())
		s = open(t, path, nil)
	}
	if n := kept(t, s, list); n != 3998 {
		t.Errorf("%d lines, want 3998", n)
	}
	if n := kept(t, s, list[1:2]); n != 0 {
		t.Errorf("%d lines of the message that was to go", n)
	}
	lines := 0
	for _, m := range list {
		lines += len(m.Evidence[0].Text) + len(m.Evidence[1].Text)
	}
	t.Logf("%d bytes of lines: %d as they came, %d rewritten (%d%%)", lines, before, s.Size(), 100*s.Size()/int64(lines))
	if s.Size()*4 > int64(lines) {
		t.Errorf("%d bytes of lines take %d, more than a quarter", lines, s.Size())
	}
}

// TestRewriteWhileItIsUsed puts and reads lines while the store is rewritten.
func TestRewriteWhileItIsUsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw")
	list := messages(0, 1000)
	s := open(t, path, nil)
	check(t, s.Put(list[:500]))
	mark := s.Size()
	var using sync.WaitGroup
	using.Go(func() {
		for i := 500; i < len(list); i++ {
			if err := s.Put(list[i : i+1]); err != nil {
				t.Error(err)
			}
		}
	})
	using.Go(func() {
		for i := range 500 {
			if n := kept(t, s, list[i:i+1]); n != 2 {
				t.Errorf("%d lines of message %d", n, i)
			}
		}
	})
	for range 5 {
		if err := s.Rewrite(mark, func(uint64, []byte, bool) bool { return true }); err != nil {
			t.Error(err)
		}
		mark = s.Size()
	}
	using.Wait()
	check(t, s.Close())
	if n := kept(t, open(t, path, nil), list); n != 2000 {
		t.Errorf("%d lines, want 2000", n)
	}
}

func TestAnotherFileIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw")
	text := []byte("mwraw2\r\n of a later version")
	check(t, os.WriteFile(path, text, 0o600))
	if _, err := Open(path, nil); err == nil {
		t.Error("a file of another version was opened")
	}
	if got, err := os.ReadFile(path); err != nil || !slices.Equal(got, text) {
		t.Errorf("the file was changed: %q %v", got, err)
	}
}

func BenchmarkPut(b *testing.B) {
	list := messages(0, 2000)
	for b.Loop() {
		s, err := Open(filepath.Join(b.TempDir(), "raw"), nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Put(list); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.Size())/float64(len(list)), "B/message")
		_ = s.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/message")
}

func BenchmarkFillOne(b *testing.B) {
	list := messages(0, 100_000)
	s, err := Open(filepath.Join(b.TempDir(), "raw"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Put(list); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if err := s.Fill(withoutText(list[i*7919%len(list):][:1])); err != nil {
			b.Fatal(err)
		}
	}
}
