package index

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// replayedIDs reads all parts at once.
func replayedIDs(t *testing.T, x *Index, line string, parts int) map[string]mail.Message {
	t.Helper()
	q, err := ParseQuery(line, noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var reading sync.WaitGroup
	found := map[string]mail.Message{}
	for _, part := range x.Replayed(t.Context(), q, parts) {
		reading.Go(func() {
			for m, err := range part {
				mu.Lock()
				if _, twice := found[m.ID]; twice || err != nil {
					t.Errorf("%q: %s a second time, or %v", line, m.ID, err)
				}
				found[m.ID] = m
				mu.Unlock()
			}
		})
	}
	reading.Wait()
	return found
}

// TestReplayedIsWhatPagesHave: live or sealed, from facts or, where these are
// gone or damaged, from rows, the same messages come with the same facts.
func TestReplayedIsWhatPagesHave(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	x, err := Open(dir, Options{ShardDocs: 2000})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { x.Close() }()
	r := rand.New(rand.NewPCG(9, 1))
	all := model{}
	for range 60 {
		if err := x.Put(ctx, all.next(r)); err != nil {
			t.Fatal(err)
		}
	}
	same := func(when string) {
		t.Helper()
		for _, line := range []string{"since:all", "", "since:all from:acme", "since:all -is:rejected", "since:3d blocked", "since:all from:nobody", "since:all to:bob1"} {
			got := replayedIDs(t, x, line, 1+r.IntN(3))
			if want := all.page(t, line, "", len(all)); !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(want))) {
				t.Fatalf("%s, %q: %d messages, want %d", when, line, len(got), len(want))
			}
			for id, m := range got {
				if want := all[id]; m.Outcome != want.Outcome || m.EnvelopeFrom != want.EnvelopeFrom || m.Reply != want.Reply || m.Attempts != want.Attempts || !m.Time.Equal(want.Time) {
					t.Fatalf("%s, %q: got %+v, want %+v", when, line, m, want)
				}
			}
		}
	}
	same("live")
	if err := x.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	same("sealed")
	if err := x.Put(ctx, all.next(r)); err != nil {
		t.Fatal(err)
	}
	same("with attempts that came later")
	if err := x.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	files := factsFiles(t, dir)
	if len(files) == 0 {
		t.Fatal("no facts lie beside the sealed layers")
	}
	for i, path := range files {
		if i%2 == 0 {
			err = os.Remove(path)
		} else {
			err = os.WriteFile(path, []byte("nonsense"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	same("without facts")
}

func factsFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"+factsSuffix))
	if err != nil {
		t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"+factsSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return append(files, deeper...)
}

// What was sealed again leaves no facts of before behind, and what has no
// layer is removed when the index opens: nothing forgotten stays on disk.
func TestNoFactsWithoutTheirLayer(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := noon.Add(-time.Hour)
	m := mail.Message{ID: "1795338843000-0000000000000007-000000000001-000", Time: at, Last: at, EnvelopeFrom: "alice@acme.example", Recipient: "bob@corp.example", Outcome: mail.Rejected}
	if err := x.Put(ctx, []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := x.Seal(ctx); err != nil {
			t.Fatal(err)
		}
		m.Attempts++
		if err := x.Put(ctx, []mail.Message{m}); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	files := factsFiles(t, dir)
	if len(files) != 1 {
		t.Fatalf("facts: %v", files)
	}
	orphan := filepath.Join(filepath.Dir(files[0]), layerName(99, sealedSuffix)+factsSuffix)
	if err := os.Rename(files[0], orphan); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if x, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Get(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if left := factsFiles(t, dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
