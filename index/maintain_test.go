package index

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// filled is an index of some days, with evidence, some of it sealed.
func filled(t *testing.T, dir string) (*Index, map[string]mail.Message) {
	t.Helper()
	x, err := Open(dir, Options{ShardDocs: 60})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	r := rand.New(rand.NewPCG(4, 4))
	all := map[string]mail.Message{}
	for round := range 6 {
		var batch []mail.Message
		for range 40 {
			m := randomMessage(r)
			m.Evidence = []mail.Evidence{
				{File: "maillog", Offset: int64(r.IntN(1e6)), Text: fmt.Sprintf("from=<%s>, to=<%s>, status=%s", m.EnvelopeFrom, m.Recipient, m.Outcome)},
				{File: "maillog", Offset: int64(r.IntN(1e6)), Text: "a line of " + m.QueueID},
			}
			all[m.ID] = m
			batch = append(batch, m)
		}
		if err := x.Put(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if round == 3 {
			if err := x.Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return x, all
}

// wantAll fails unless the index has just these messages, with their evidence.
func wantAll(t *testing.T, x *Index, want map[string]mail.Message) {
	t.Helper()
	n := 0
	for m, err := range x.Messages(t.Context(), Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		got, err := x.Get(t.Context(), m.ID)
		if err != nil {
			t.Fatal(err)
		}
		w := want[m.ID]
		if got.Outcome != w.Outcome || len(got.Evidence) != len(w.Evidence) {
			t.Fatalf("%s is %+v, want %+v", m.ID, got, w)
		}
		for i := range got.Evidence {
			if got.Evidence[i] != w.Evidence[i] {
				t.Fatalf("%s: evidence %+v, want %+v", m.ID, got.Evidence[i], w.Evidence[i])
			}
		}
	}
	if n != len(want) {
		t.Errorf("%d messages, want %d", n, len(want))
	}
}

func TestMaintenanceChangesNoAnswer(t *testing.T) {
	x, all := filled(t, filepath.Join(t.TempDir(), "index"))
	for name, do := range map[string]func(context.Context) error{"compact": x.Compact, "rebuild": x.Rebuild, "seal": x.Seal} {
		if err := do(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wantAll(t, x, all)
	}
	n, found, err := x.Verify(t.Context())
	if err != nil || n != len(all) || found != nil {
		t.Errorf("verify: %d messages, %v, %v", n, found, err)
	}
	stats, err := x.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	messages := 0
	for _, s := range stats {
		if messages += s.Messages; s.Bytes <= s.RawBytes || s.RawBytes == 0 || !s.Sealed {
			t.Errorf("stats: %+v", s)
		}
	}
	if messages != len(all) {
		t.Errorf("stats of %d messages, want %d", messages, len(all))
	}
}

// TestSealingPacksLines: lines that came a few at a time take less than a
// quarter of the log once their shard is sealed by itself.
func TestSealingPacksLines(t *testing.T) {
	x, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	messages := benchMessages(0, 2000)
	text := int64(0)
	for part := range slices.Chunk(messages, 4) {
		for i := range part {
			text += int64(len(part[i].Evidence[0].Text))
		}
		if err := x.Put(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	lines := func() int64 { _, n, _ := x.shards[0].space(); return n }
	if before := lines(); before*4 < text {
		t.Errorf("%d bytes of lines take %d before they are packed: the test shows nothing", text, before)
	}
	x.sealOrSay(t.Context(), x.shards[0])
	if after := lines(); after*4 > text {
		t.Errorf("%d bytes of lines take %d, more than a quarter", text, after)
	}
	rows, err := x.Page(t.Context(), Query{}, "", 3000)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Evidence(t.Context(), rows.Rows); err != nil {
		t.Fatal(err)
	}
	for i, m := range rows.Rows {
		if want := messages[len(messages)-1-i].Evidence; !slices.Equal(m.Evidence, want) {
			t.Fatalf("%s: evidence %v, want %v", m.ID, m.Evidence, want)
		}
	}
	if problems := x.Problems(); problems != nil {
		t.Errorf("problems: %q", problems)
	}
}

// TestClosedIndexSaysSo: nothing is found after Close, and that is no answer.
func TestClosedIndexSaysSo(t *testing.T) {
	x, all := filled(t, filepath.Join(t.TempDir(), "index"))
	var some mail.Message
	for _, some = range all {
		break
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	asked := map[string]error{"put": x.Put(ctx, []mail.Message{some}), "compact": x.Compact(ctx)}
	_, asked["page"] = x.Page(ctx, Query{}, "", 10)
	_, asked["get"] = x.Get(ctx, some.ID)
	_, asked["count"] = x.Count(ctx, Query{})
	_, asked["causes"] = x.Causes(ctx, Query{})
	_, asked["stats"] = x.Stats(ctx)
	_, _, asked["verify"] = x.Verify(ctx)
	for what, err := range asked {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if problems := x.Problems(); problems != nil {
		t.Errorf("problems: %q", problems)
	}
}

// TestForgetLeavesNoByte forgets an address and looks for it in every file.
func TestForgetLeavesNoByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x, all := filled(t, dir)
	var address mail.Path
	for _, m := range all {
		if m.EnvelopeFrom != mail.NullPath {
			address = m.EnvelopeFrom
		}
	}
	removed := 0
	for id, m := range all {
		if m.EnvelopeFrom == address {
			delete(all, id)
			removed++
		}
	}
	done, err := x.Forget(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if done.Messages != removed {
		t.Errorf("%d messages forgotten, want %d", done.Messages, removed)
	}
	wantAll(t, x, all)
	if again, err := x.Forget(t.Context(), address); err != nil || again.Messages+again.Shards != 0 {
		t.Errorf("forgotten again: %+v %v", again, err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(address)) {
			t.Errorf("%s still names %s", path, address)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		"from=<a@b.example>": true, "to=A@B.example,": true, "a@b.example": true, "sent to a@b.example.": true,
		"ba@b.example": false, "a@b.example.org": false, "x.a@b.example": false, "a@b.examples": false, "": false,
	} {
		if got := mentions([]byte(text), "a@b.example"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestBackupIsAnIndex(t *testing.T) {
	dir := t.TempDir()
	x, all := filled(t, filepath.Join(dir, "index"))
	copied := filepath.Join(dir, "backup")
	if err := x.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	late := randomMessage(rand.New(rand.NewPCG(8, 8)))
	if err := x.Put(t.Context(), []mail.Message{late}); err != nil { // the backup does not see it
		t.Fatal(err)
	}
	if err := x.Backup(t.Context(), copied); !errors.Is(err, os.ErrExist) {
		t.Errorf("a backup over another: %v", err)
	}
	b, err := Open(copied, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	wantAll(t, b, all)
	if b.Problems() != nil {
		t.Errorf("problems of the backup: %v", b.Problems())
	}
}

func TestRetention(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x, _ := filled(t, dir)
	stats, err := x.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	total, newest := int64(0), stats[len(stats)-1].Name
	for _, s := range stats {
		total += s.Bytes
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(dir, Options{RetentionBytes: total / 2}); err != nil {
		t.Fatal(err)
	}
	left := x.Shards()
	if len(left) == 0 || len(left) >= len(stats) || left[len(left)-1] != newest {
		t.Errorf("of %d shards %v are left", len(stats), left)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return noon }
	if x, err = Open(dir, Options{RetentionDays: 3, Now: clock}); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	old := randomMessage(rand.New(rand.NewPCG(9, 9)))
	old.Time = noon.AddDate(0, 0, -4)
	old.ID = fmt.Sprintf("%013d-%016x-%012d-000", old.Time.UnixMilli(), 7, 1)
	if err := x.Put(t.Context(), []mail.Message{old}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Get(t.Context(), old.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("a message past retention: %v", err)
	}
	for _, name := range x.Shards() {
		if name < noon.AddDate(0, 0, -3).Format(time.DateOnly) {
			t.Errorf("%s is past retention", name)
		}
	}
}

// TestClockJump: a clock that says that all messages are past retention is not
// believed, neither when the index is opened nor when messages come.
func TestClockJump(t *testing.T) {
	dir := t.TempDir()
	now := noon
	o := Options{RetentionDays: 30, Now: func() time.Time { return now }}
	x, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	all := model{}
	r := rand.New(rand.NewPCG(12, 12))
	put := func() {
		t.Helper()
		if err := x.Put(t.Context(), all.next(r)); err != nil {
			t.Fatal(err)
		}
		checkAgainstModel(t, x, all, "since:all")
	}
	put()
	for _, jump := range []time.Time{noon.AddDate(12, 0, 0), time.Unix(0, 0), noon.Add(time.Hour)} {
		now = jump
		put()
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if x, err = Open(dir, o); err != nil {
			t.Fatal(err)
		}
		put()
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestShardOfANewerVersion is told and left alone; the others answer.
func TestShardOfANewerVersion(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	old, recent := benchMessages(1, 10), benchMessages(0, 10)
	if err := errors.Join(x.Put(t.Context(), old), x.Put(t.Context(), recent), x.Seal(t.Context())); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(x.shards[0].dir, layerName(1, sealedSuffix))
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] = '2'
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	p, err := x.Page(t.Context(), Query{}, "", 100)
	if err != nil || len(p.Rows) != len(recent) {
		t.Errorf("%d rows, want %d: %v", len(p.Rows), len(recent), err)
	}
	if problems := x.Problems(); len(problems) != 1 || !strings.Contains(problems[0], "written by another version of mailwhy") {
		t.Errorf("problems: %q", problems)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
		t.Errorf("the shard was touched: %v", err)
	}
}

// TestFoldersThatAreNotOurs are refused with a sentence, and left as they are.
func TestFoldersThatAreNotOurs(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"newer":   {schemaName, `{"version":99}`, "newer mailwhy"},
		"foreign": {"letters.doc", "Dear", "it holds letters.doc"},
		"garbage": {schemaName, "torn", "says nothing of an index"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := Open(dir, Options{})
		if err == nil {
			_ = x.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
			t.Errorf("%s: the folder was touched: %v %v", name, entries, err)
		}
	}
}

func TestLostDays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x, _ := filled(t, dir)
	names := x.Shards()
	if lost := x.Lost(names); lost != nil {
		t.Errorf("lost %v of a whole index", lost)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	deleted, damaged := names[0], names[len(names)-1]
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, deleted)), os.Rename(filepath.Join(dir, damaged), asideName(filepath.Join(dir, damaged)))); err != nil {
		t.Fatal(err)
	}
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if lost := x.Lost(names); len(lost) != 2 || lost[0] != deleted[:10] || lost[1] != damaged[:10] {
		t.Errorf("lost %v, want the days of %s and %s", lost, deleted, damaged)
	}
	if err := x.Regained([]string{damaged[:10]}); err != nil {
		t.Fatal(err)
	}
	if lost := x.Lost(nil); lost != nil {
		t.Errorf("lost %v after it was regained", lost)
	}
}
