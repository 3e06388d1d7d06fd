package exception

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mailwhy/engine/chain"
)

// written is a journal of five entries: three exceptions, one of them revoked,
// and a policy edit.
func written(t *testing.T) (b *bench, lines [][]byte) {
	t.Helper()
	b = open(t)
	for i := range 3 {
		b.create(fmt.Sprintf("a%d@acme.example", i))
	}
	if _, err := b.Revoke(context.Background(), ann, 2, "over"); err != nil {
		t.Fatal(err)
	}
	if err := b.NotePolicyEdit(context.Background(), PolicyEdit{Path: "policy.yaml", Hash: "ab"}); err != nil {
		t.Fatal(err)
	}
	b.verify(5)
	return b, bytes.SplitAfter(b.bytes(), []byte("\n"))[:5]
}

func (b *bench) bytes() []byte {
	b.t.Helper()
	data, err := os.ReadFile(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

func (b *bench) replace(data []byte) {
	b.t.Helper()
	if err := os.WriteFile(b.path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// rehashed is a line with an edit and a hash that fits it again, as somebody
// writes who knows the format.
func rehashed(line []byte, old, new string) []byte {
	body := bytes.Replace(line[:bytes.LastIndex(line, []byte(`,"hash":"`))], []byte(old), []byte(new), 1)
	sealed, _ := chain.Seal(append(body, '}'))
	return sealed
}

func TestVerifyFindsTampering(t *testing.T) {
	b, l := written(t)
	f := func(name string, entry int, words string, lines ...[]byte) {
		t.Helper()
		b.replace(bytes.Join(lines, nil))
		n, err := Verify(b.path)
		var wrong *ChainError
		if !errors.As(err, &wrong) || wrong.Entry != entry || !strings.Contains(wrong.Problem, words) || wrong.Torn {
			t.Errorf("%s: verify says %v, want entry %d: ...%s...", name, err, entry, words)
		}
		if n != entry-1 {
			t.Errorf("%s: %d good entries, want %d", name, n, entry-1)
		}
		if _, err := Open(b.path, Options{}); !errors.As(err, &wrong) {
			t.Errorf("%s: open says %v", name, err)
		}
	}
	edit := func(line []byte, old, new string) []byte { return bytes.Replace(line, []byte(old), []byte(new), 1) }

	f("edited", 2, "edited", l[0], edit(l[1], "a1@acme", "a9@acme"), l[2], l[3], l[4])
	f("one space more", 2, "edited", l[0], edit(l[1], `"n":2`, `"n": 2`), l[2], l[3], l[4])
	f("edited last", 5, "edited", l[0], l[1], l[2], l[3], edit(l[4], "policy.yaml", "policy.yml"))
	f("its hash edited", 3, "edited", l[0], l[1], append(bytes.Clone(l[2][:len(l[2])-4]), "x\"}\n"...), l[3], l[4])
	f("edited and hashed anew", 3, "hash of entry 2", l[0], rehashed(l[1], "a1@acme", "a9@acme"), l[2], l[3], l[4])
	f("first gone", 1, "entry 1 is missing", l[1], l[2], l[3], l[4])
	f("two of the middle gone", 2, "entries 2 to 3 are missing", l[0], l[3], l[4])
	f("two exchanged", 2, "entry 2 is missing", l[0], l[2], l[1], l[3], l[4])
	f("repeated", 3, "moved or repeated", l[0], l[1], l[1], l[2], l[3], l[4])
	f("replayed at the end", 6, "moved or repeated", l[0], l[1], l[2], l[3], l[4], l[0])
	f("put in", 3, "hash of entry 2", l[0], l[1], rehashed(l[1], `"n":2`, `"n":3`), l[2], l[3], l[4])
	f("cut in the middle", 2, "cut or replaced", l[0], append(bytes.Clone(l[1][:40]), '\n'), l[2], l[3], l[4])
	f("glued", 2, "edited", l[0], bytes.TrimSpace(l[1]), l[2], l[3], l[4])
	f("an empty line", 2, "cut or replaced", l[0], []byte("\n"), l[1], l[2], l[3], l[4])
	f("something else", 1, "cut or replaced", []byte("hello\n"))
	f("end cut off", 5, "ended with entry 5 before", l[0], l[1], l[2], l[3])
	f("all cut off", 1, "ended with entry 5 before")
	f("last hashed anew", 5, "another one", l[0], l[1], l[2], l[3], rehashed(l[4], "policy.yaml", "policy.yml"))
	f("no line end in the middle", 5, "edited", l[0], l[1], l[2], l[3], bytes.TrimSpace(l[4]), l[4])
}

// Entries that are chained well but cannot be: nobody gets in by writing the
// journal by hand with correct hashes.
func TestVerifyFindsNonsense(t *testing.T) {
	b := open(t)
	x := b.create("alice@acme.example")
	good := b.bytes()
	f := func(words string, e entry) {
		t.Helper()
		e.Number, e.Prev = 2, b.at.hash
		line, _, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		b.replace(append(bytes.Clone(good), line...))
		var wrong *ChainError
		if _, err := Verify(b.path); !errors.As(err, &wrong) || wrong.Entry != 2 || !strings.Contains(wrong.Problem, words) {
			t.Errorf("got %v, want entry 2: ...%s...", err, words)
		}
	}
	f("kind \"grant\" is not known", entry{Kind: "grant"})
	f("creates nothing", entry{Kind: entryCreate})
	f("creates exception 1 where 2 is next", entry{Kind: entryCreate, Exception: &x, Effect: &effect{}})
	f("exception 7, which does not exist", entry{Kind: entryRevoke, ID: 7})
	f("approves their own", entry{Kind: entryApprove, ID: 1, Actor: olga})
	f("no policy edit", entry{Kind: entryPolicyEdit})

	b.replace(good)
	b.reopen()
	if _, err := b.Revoke(context.Background(), ann, 1, ""); err != nil {
		t.Fatal(err)
	}
	revoked, _, err := entry{Number: 3, Prev: b.at.hash, Kind: entryExtend, ID: 1, Until: noon.AddDate(9, 0, 0)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	b.replace(append(b.bytes(), revoked...))
	if _, err := Verify(b.path); err == nil || !strings.Contains(err.Error(), "revoked before") {
		t.Errorf("extending what was revoked: %v", err)
	}
}

func TestReloadFindsTampering(t *testing.T) {
	b, l := written(t)
	f := func(words string, lines ...[]byte) {
		t.Helper()
		b.replace(bytes.Join(lines, nil))
		if _, err := b.Reload(); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("reload says %v, want ...%s...", err, words)
		}
		if _, err := b.Create(context.Background(), policySet(), olga, want("new@acme.example")); err == nil {
			t.Error("an entry was appended to a journal that was tampered with")
		}
		if n := len(b.List()); n != 3 {
			t.Errorf("%d exceptions are left in force", n)
		}
	}
	f("became shorter", l[0], l[1], l[2])
	f("became shorter")
	f("edited or replaced", l[0], l[1], l[2], l[3], bytes.Replace(l[4], []byte("ab"), []byte("cd"), 1))
	b.replace(bytes.Join(l, nil))
	if _, err := b.Reload(); err != nil {
		t.Errorf("put back: %v", err)
	}
	if err := os.Remove(b.path); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Reload(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
}

// No byte can be changed or taken out unseen; only the last line end may be
// missing.
func TestVerifyFindsEveryByte(t *testing.T) {
	b := open(t)
	for range 2 {
		if err := b.NotePolicyEdit(context.Background(), PolicyEdit{Path: "policy.yaml"}); err != nil {
			t.Fatal(err)
		}
	}
	whole := b.bytes()
	for i := range whole {
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		b.replace(changed)
		if _, err := Verify(b.path); err == nil {
			t.Errorf("byte %d changed, and verify says nothing", i)
		}
		b.replace(append(bytes.Clone(whole[:i]), whole[i+1:]...))
		if _, err := Verify(b.path); err == nil && i != len(whole)-1 {
			t.Errorf("byte %d taken out, and verify says nothing", i)
		}
	}
}

// A journal written anew from some entry on, with every hash right.
func TestVerifyFindsAnotherJournal(t *testing.T) {
	b, _ := written(t)
	other, _ := written(t)
	if _, err := other.Revoke(context.Background(), ann, 1, "not in the first one"); err != nil {
		t.Fatal(err)
	}
	other.now = noon.AddDate(0, 0, 1)
	other.create("more@acme.example")
	other.verify(7)
	b.now = noon.AddDate(0, 0, 2)
	b.create("mine@acme.example")
	b.replace(other.bytes())
	var wrong *ChainError
	if n, err := Verify(b.path); n != 6 || !errors.As(err, &wrong) || wrong.Entry != 7 || !strings.Contains(wrong.Problem, "another entry 6") {
		t.Errorf("verify says %d, %v", n, err)
	}
}

// A lost head costs only the memory of the end.
func TestWithoutHead(t *testing.T) {
	b, l := written(t)
	for _, memory := range []string{"", "nonsense\n", "000000000003 "} {
		if err := os.WriteFile(headPath(b.path), []byte(memory), 0o600); err != nil {
			t.Fatal(err)
		}
		b.verify(5)
	}
	if err := os.Remove(headPath(b.path)); err != nil {
		t.Fatal(err)
	}
	b.replace(bytes.Join(l[:3], nil))
	b.verify(3)
	b.reopen()
	b.create("next@acme.example")
	b.verify(4)
}

// A crash can leave any beginning of a line behind.
func TestTornLine(t *testing.T) {
	b, l := written(t)
	head := bytes.Join(l[:4], nil)
	for _, keep := range []int{1, 2, 17, len(l[4]) / 2, len(l[4]) - 2} {
		b.replace(append(bytes.Clone(head), l[4][:keep]...))
		var wrong *ChainError
		if n, err := Verify(b.path); n != 4 || !errors.As(err, &wrong) || !wrong.Torn || wrong.Entry != 5 {
			t.Errorf("%d bytes: verify says %d, %v", keep, n, err)
		}
		b.reopen()
		b.verify(4)
		if notes := b.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "set aside") {
			t.Errorf("%d bytes: notes %q", keep, notes)
		}
	}
	aside, err := filepath.Glob(b.path + ".torn-*")
	if err != nil || len(aside) != 5 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	if kept, err := os.ReadFile(b.path + ".torn-3"); err != nil || string(kept) != string(l[4][:17]) {
		t.Errorf("the third holds %q, %v", kept, err)
	}

	// Zeros that a file system left, with a line end that reached the disk.
	b.replace(append(bytes.Clone(head), "{\"n\":5\x00\x00\x00\x00\n"...))
	b.reopen()
	b.verify(4)

	// Whole but for the line end: nothing is lost.
	b.replace(append(bytes.Clone(head), l[4][:len(l[4])-1]...))
	b.verify(5)
	b.reopen()
	b.verify(5)
	if len(b.PolicyEdits()) != 1 || !strings.Contains(b.Notes()[0], "completed") {
		t.Errorf("%d edits, notes %q", len(b.PolicyEdits()), b.Notes())
	}
	b.create("next@acme.example")
	b.verify(6)
}

// A running service mends what another process left torn, and a reader leaves
// it alone.
func TestTornLineWhileRunning(t *testing.T) {
	b, l := written(t)
	b.replace(append(bytes.Join(l, nil), `{"n":6,"ti`...))
	if fresh, err := b.Reload(); fresh || err != nil {
		t.Errorf("reload: %v, %v", fresh, err)
	}
	if !bytes.HasSuffix(b.bytes(), []byte(`"ti`)) {
		t.Error("a reader changed the journal")
	}
	b.create("next@acme.example")
	b.verify(6)
}

// faulty fails like a disk does.
type faulty struct {
	*os.File
	room    int   // bytes that can still be written
	sync    error // what Sync returns, once
	noTrunc bool
}

var (
	errFull  = errors.New("no space left on device")
	errStale = errors.New("input/output error")
)

func (f *faulty) WriteAt(p []byte, off int64) (int, error) {
	if len(p) <= f.room {
		return f.File.WriteAt(p, off)
	}
	n, err := f.File.WriteAt(p[:f.room], off)
	return n, errors.Join(errFull, err)
}

func (f *faulty) Sync() error {
	err := f.sync
	f.sync = nil
	return err
}

func (f *faulty) Truncate(size int64) error {
	if f.noTrunc {
		return errStale
	}
	return f.File.Truncate(size)
}

func TestDiskFailures(t *testing.T) {
	b := open(t)
	b.create("first@acme.example")
	before := b.bytes()
	f := func(disk faulty, want_ error) {
		t.Helper()
		b.wrap = func(file *os.File) journalFile { disk.File = file; return &disk }
		_, err := b.Create(context.Background(), policySet(), olga, want("second@acme.example"))
		if !errors.Is(err, want_) {
			t.Errorf("got %v, want %v", err, want_)
		}
		b.wrap = nil
		if n := len(b.List()); n != 1 {
			t.Errorf("%d exceptions after a failed write", n)
		}
	}
	for room := range 40 {
		f(faulty{room: room * 20}, errFull)
		if !bytes.Equal(b.bytes(), before) {
			t.Errorf("room %d: the journal changed", room)
		}
	}
	f(faulty{room: 1 << 20, sync: errStale}, errStale)
	if !bytes.Equal(b.bytes(), before) {
		t.Error("an entry that was never durable stayed in the journal")
	}
	f(faulty{room: 99, noTrunc: true}, errFull) // the tail stays torn ...
	b.create("second@acme.example")             // ... and the next writer mends it
	b.verify(2)
}

// The journal's form is read by other programs and by people: keep it.
func TestJournalForm(t *testing.T) {
	b := open(t)
	b.create("alice@acme.example")
	var got map[string]any
	if err := json.Unmarshal(b.bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"n", "time", "entry", "actor", "exception", "effect", "prev", "hash"} {
		if got[key] == nil {
			t.Errorf("no %q in %s", key, b.bytes())
		}
	}
	if got["entry"] != "create" || got["prev"] != chain.Genesis {
		t.Errorf("entry %v, prev %v", got["entry"], got["prev"])
	}
}

// FuzzVerify: whatever stands in the file, Verify answers, and Open agrees.
func FuzzVerify(f *testing.F) {
	line, hash, err := entry{Number: 1, Kind: entryPolicyEdit, Policy: &PolicyEdit{Path: "p"}, Prev: chain.Genesis}.encode()
	if err != nil {
		f.Fatal(err)
	}
	next, _, err := entry{Number: 2, Kind: entryPolicyEdit, Policy: &PolicyEdit{Path: "q"}, Prev: hash}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(line)
	f.Add(append(bytes.Clone(line), next...))
	f.Add(append(bytes.Clone(line), next[:30]...))
	f.Add([]byte("{}\n\n\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "exceptions.jsonl")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		n, verified := Verify(path)
		if n > bytes.Count(data, []byte("\n"))+1 {
			t.Errorf("%d entries in %q", n, data)
		}
		var wrong *ChainError
		torn := errors.As(verified, &wrong) && wrong.Torn
		s, opened := Open(path, Options{})
		if (opened == nil) != (verified == nil || torn) {
			t.Fatalf("verify says %v, open says %v", verified, opened)
		}
		if opened != nil {
			return
		}
		if err := s.NotePolicyEdit(context.Background(), PolicyEdit{}); err != nil {
			t.Errorf("append after open: %v", err)
		}
		if again, err := Verify(path); err != nil || again != n+1 {
			t.Errorf("after repair and append: %d entries, %v; before %d", again, err, n)
		}
	})
}
