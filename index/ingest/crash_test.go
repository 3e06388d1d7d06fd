package ingest

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailwhy/engine/mail"
)

// killsAlways is how often the tests that are always run do their harm; with
// more, the machine is taken to have nothing else to do.
const killsAlways = 20

var kills = flag.Int("ingest.kills", killsAlways, "how often TestKilledAtRandom kills the ingesting process")

// victim is a folder whose log is written by the test and ingested by child
// processes.
type victim struct {
	dir, log string
	written  int // lines
	rotated  int
}

func newVictim(t *testing.T) *victim {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"log", "data"} {
		check(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
	}
	return &victim{dir: dir, log: filepath.Join(dir, "log", "maillog")}
}

// write appends n lines.
func (v *victim) write(t *testing.T, n int) {
	t.Helper()
	var text strings.Builder
	for range n {
		text.WriteString(line(v.written))
		v.written++
	}
	appendLine(t, v.log, text.String())
}

func (v *victim) rotate(t *testing.T) {
	t.Helper()
	v.rotated++
	check(t, os.Rename(v.log, fmt.Sprintf("%s.%d", v.log, 1_000_000-v.rotated)))
}

// index is the folder of the index, shard the folder of its n-th shard.
func (v *victim) index() string { return filepath.Join(v.dir, "data", "index") }

func (v *victim) shard(t *testing.T, n int) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(v.index(), "????-??-??.???"))
	check(t, err)
	if len(found) <= n {
		t.Fatalf("there are %d shards", len(found))
	}
	return found[n]
}

// wantClean fails unless the index holds what one undisturbed reading of the
// same logs gives.
func (v *victim) wantClean(t *testing.T) {
	t.Helper()
	clean := newVictim(t)
	check(t, os.Remove(filepath.Join(clean.dir, "log")))
	check(t, os.Symlink(filepath.Join(v.dir, "log"), filepath.Join(clean.dir, "log")))
	if problems := finish(t, clean.dir); problems != nil {
		t.Errorf("problems of a clean run: %v", problems)
	}
	got, want := contents(t, filepath.Join(v.dir, "data")), contents(t, filepath.Join(clean.dir, "data"))
	if len(want) < v.written/3 {
		t.Fatalf("%d lines gave %d messages", v.written, len(want))
	}
	if maps.Equal(got, want) {
		return
	}
	t.Errorf("%d messages, a clean run gives %d", len(got), len(want))
	for id, outcome := range want {
		if got[id] != outcome {
			t.Fatalf("%s is %q, want %q", id, got[id], outcome)
		}
	}
}

// TestKilledAtRandom kills the ingesting process again and again while the log
// grows and rotates; at the end the index holds what a clean run gives.
// A longer run: go test ./index/ingest -run KilledAtRandom -ingest.kills=1000 -timeout 2h
func TestKilledAtRandom(t *testing.T) {
	v := newVictim(t)
	r := rand.New(rand.NewPCG(5, 6))
	for round := range *kills {
		child := startChild(t, v.dir)
		for range 5 {
			v.write(t, 60) // while it reads
		}
		if round%4 == 2 {
			v.rotate(t)
			v.write(t, 30)
		}
		child.killAfter(time.Duration(r.IntN(200)) * time.Millisecond)
	}
	if problems := finish(t, v.dir); problems != nil {
		t.Errorf("problems: %v", problems)
	}
	v.wantClean(t)
}

// fileLimit names the variable that bounds the size of the files a child
// writes, in bytes: past it a write fails as on a full disk.
const fileLimit = "MAILWHY_INGEST_FILE_LIMIT"

func limitFiles() {
	n, err := strconv.ParseUint(os.Getenv(fileLimit), 10, 64)
	if err != nil {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
}

// TestDiskFull lets writes fail at sizes from nothing to nearly enough; once
// there is room again, nothing is missing. With more kills than usual it does
// so at as many sizes more.
func TestDiskFull(t *testing.T) {
	v := newVictim(t)
	limits := []int{0, 100, 2_000, 20_000, 70_000, 150_000, 400_000}
	r := rand.New(rand.NewPCG(8, 9))
	for range *kills - killsAlways {
		limits = append(limits, r.IntN(1<<r.IntN(20)))
	}
	for _, limit := range limits {
		v.write(t, 300)
		startChild(t, v.dir, fmt.Sprint(fileLimit, "=", limit)).killAfter(300 * time.Millisecond)
	}
	finish(t, v.dir) // a shard that could not be made whole may have been set aside
	v.wantClean(t)
}

// TestDamage breaks what is on disk in every way a disk breaks things; the
// next run tells of it and mends it from the logs.
func TestDamage(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(t *testing.T, v *victim)
		told string // part of a problem that is told; "" = none
	}{
		"shard deleted":        {func(t *testing.T, v *victim) { check(t, os.RemoveAll(v.shard(t, 0))) }, "read again"},
		"shard emptied":        {func(t *testing.T, v *victim) { tear(t, v.shard(t, 0), 0, 1) }, "read again"},
		"shard cut in half":    {func(t *testing.T, v *victim) { tear(t, v.shard(t, 0), 1, 2) }, "read again"},
		"checkpoint deleted":   {func(t *testing.T, v *victim) { check(t, os.Remove(v.checkpoint())) }, ""},
		"checkpoint torn":      {func(t *testing.T, v *victim) { tear(t, v.checkpoint(), 2, 3) }, "set aside"},
		"checkpoint half made": {func(t *testing.T, v *victim) { check(t, os.WriteFile(v.checkpoint()+".new", []byte("{"), 0o600)) }, ""},
		"lines torn":           {func(t *testing.T, v *victim) { tear(t, filepath.Join(v.shard(t, 0), "raw"), 1, 2) }, ""},
		"index deleted":        {func(t *testing.T, v *victim) { check(t, os.RemoveAll(v.index())) }, "read again"},
		"everything deleted": {func(t *testing.T, v *victim) {
			check(t, os.RemoveAll(filepath.Join(v.dir, "data")))
			check(t, os.Mkdir(filepath.Join(v.dir, "data"), 0o700))
		}, ""},
		"a leftover half shard": {func(t *testing.T, v *victim) { check(t, os.Mkdir(filepath.Join(v.index(), "2026-11-20.007"), 0o700)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.write(t, 900)
			finish(t, v.dir)
			v.write(t, 300)
			c.harm(t, v)
			contentsOf := func() map[string]mail.Outcome { return contents(t, filepath.Join(v.dir, "data")) }
			if c.told != "" && strings.HasPrefix(name, "shard ") {
				_ = contentsOf() // a shard is opened when it is asked
			}
			problems := finish(t, v.dir)
			if told := strings.Contains(strings.Join(problems, "; "), c.told); !told {
				t.Errorf("told: %q, want %q", problems, c.told)
			}
			v.wantClean(t)
		})
	}
}

func (v *victim) checkpoint() string { return filepath.Join(v.dir, "data", checkpointName) }

// tear keeps the first n of each m-th of a file, or of every file in a folder.
func tear(t *testing.T, path string, n, m int64) {
	t.Helper()
	check(t, filepath.WalkDir(path, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()*n/m)
	}))
}
