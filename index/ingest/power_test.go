package ingest

import (
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mailwhy/index"
)

var powerCuts = flag.Int("ingest.power", 0, "how often TestPowerCut cuts the power; it mounts a file system, so it needs root and a loop device")

// Of ext4, include/uapi/linux/ext4.h: EXT4_IOC_SHUTDOWN with
// EXT4_GOING_FLAGS_NOLOGFLUSH stops the file system as a power cut does: what
// was not synced is not on the disk.
const (
	ext4Shutdown   = 0x8004587d
	ext4NoLogFlush = 2
)

// TestPowerCut lets the data folder lose everything that was not synced, again
// and again while the log grows and rotates: each time the folder opens with
// nothing to complain about, and at the end the index holds what a clean run
// gives.
//
//	go test ./index/ingest -run PowerCut -ingest.power=20
func TestPowerCut(t *testing.T) {
	if *powerCuts == 0 {
		t.Skip("asked for with -ingest.power")
	}
	v := newVictim(t)
	disk := newCutDisk(t, filepath.Join(v.dir, "data"))
	r := rand.New(rand.NewPCG(11, 12))
	for round := range *powerCuts {
		child := startChild(t, v.dir)
		for range 5 {
			v.write(t, 60)
		}
		if round%4 == 2 {
			v.rotate(t)
			v.write(t, 30)
		}
		time.Sleep(time.Duration(r.IntN(600)) * time.Millisecond) // somewhere in its work
		disk.cut(t)
		child.killAfter(0)
		disk.mountAgain(t)
	}
	if problems := finish(t, v.dir); problems != nil {
		t.Errorf("problems: %v", problems)
	}
	v.wantClean(t)
	disk.unmount(t)
}

// TestReadOnlyDisk: one sentence, and after it everything is as it was.
func TestReadOnlyDisk(t *testing.T) {
	if *powerCuts == 0 {
		t.Skip("asked for with -ingest.power")
	}
	v := newVictim(t)
	disk := newCutDisk(t, filepath.Join(v.dir, "data"))
	v.write(t, 300)
	finish(t, v.dir)
	run(t, "mount", "-o", "remount,ro", disk.dir)
	x, err := index.Open(v.index(), index.Options{})
	if err == nil {
		x.Close()
	}
	if !errors.Is(err, unix.EROFS) || strings.Contains(err.Error(), "\n") {
		t.Errorf("opened on a disk that cannot be written: %v", err)
	}
	run(t, "mount", "-o", "remount,rw", disk.dir)
	if problems := finish(t, v.dir); problems != nil {
		t.Errorf("problems: %v", problems)
	}
	v.wantClean(t)
	disk.unmount(t)
}

// cutDisk is a file system of its own, mounted on a folder.
type cutDisk struct{ image, dir string }

func newCutDisk(t *testing.T, dir string) cutDisk {
	t.Helper()
	d := cutDisk{filepath.Join(t.TempDir(), "image"), dir}
	check(t, os.WriteFile(d.image, nil, 0o600))
	check(t, os.Truncate(d.image, 256<<20))
	run(t, "mkfs.ext4", "-q", d.image)
	d.mount(t)
	t.Cleanup(func() { _ = unix.Unmount(d.dir, unix.MNT_DETACH) }) // where the test ended early
	return d
}

// mount lets the kernel write by itself as late as it can.
func (d cutDisk) mount(t *testing.T) {
	t.Helper()
	run(t, "mount", "-o", "loop,commit=300", d.image, d.dir)
}

func (d cutDisk) unmount(t *testing.T) {
	t.Helper()
	until(t, func() bool { return unix.Unmount(d.dir, 0) == nil })
}

func (d cutDisk) cut(t *testing.T) {
	t.Helper()
	f, err := os.Open(d.dir)
	check(t, err)
	defer f.Close()
	check(t, unix.IoctlSetPointerInt(int(f.Fd()), ext4Shutdown, ext4NoLogFlush))
}

func (d cutDisk) mountAgain(t *testing.T) {
	t.Helper()
	d.unmount(t)
	d.mount(t)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
