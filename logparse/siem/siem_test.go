package siem

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mimecast"
	"mailwhy/logparse/spool"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// account is a spool and a state file that readers come and go at.
type account struct {
	t     *testing.T
	dir   string
	api   *mimecast.Client
	spool *spool.Spool
}

func newAccount(t *testing.T, api *mimecast.Client) *account {
	t.Helper()
	a := &account{t: t, dir: t.TempDir(), api: api}
	a.restart()
	t.Cleanup(func() { _ = a.spool.Close() })
	return a
}

func (a *account) restart() {
	a.t.Helper()
	if a.spool != nil {
		check(a.t, a.spool.Close())
	}
	var err error
	a.spool, err = spool.Open(spool.Options{Dir: a.dir, Segment: 20_000})
	check(a.t, err)
}

func (a *account) reader(types ...string) *Reader {
	a.t.Helper()
	r, err := New(Options{API: a.api, Spool: a.spool, State: filepath.Join(a.dir, "resume.json"), Types: types, again: time.Millisecond, Every: time.Millisecond})
	check(a.t, err)
	return r
}

func (a *account) lines() []string {
	a.t.Helper()
	var all []string
	check(a.t, a.spool.After(spool.Position{}, func(line []byte) { all = append(all, string(line)) }))
	slices.Sort(all)
	return all
}

// want fails unless the spool has each line of the vendor as often as he has.
func (a *account) want(v *vendor) {
	a.t.Helper()
	got, want := a.lines(), v.all()
	if slices.Equal(got, want) {
		return
	}
	times := map[string]int{}
	for _, line := range want {
		times[line]++
	}
	for _, line := range got {
		times[line]--
	}
	for line, n := range times {
		if n != 0 {
			a.t.Errorf("%d lines, want %d; %s is there %d times too few", len(got), len(want), line, n)
			return
		}
	}
}

var allFaults = []string{"limit", "token", "broken", "fail", "expired", "cut", "torn"}

// TestFaultsAndEnds reads logs that grow from an API at which every second call
// fails in some way, by readers that are ended in the middle, over and over.
// Each line is there once, and a line that the log has twice, twice.
func TestFaultsAndEnds(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			old := seed%4 == 3
			kinds := []string{"receipt", "process"}
			if old {
				kinds = []string{kindMTA}
			}
			v, api := startVendor(t, old)
			inRow := 0
			v.faults = func() string {
				f := allFaults[r.IntN(len(allFaults))]
				if inRow++; inRow == mostTries-1 || r.IntN(2) == 0 || old && f == "token" { // 1.0 has none that run out
					inRow = 0
					return ""
				}
				return f
			}
			a := newAccount(t, api)
			for range 12 {
				ctx, cancel := context.WithCancel(t.Context())
				v.mu.Lock()
				v.stop, v.stopAt = cancel, len(v.calls)+1+r.IntN(25)
				v.mu.Unlock()
				v.write(r, kinds[0])
				v.write(r, kinds[len(kinds)-1])
				check(t, a.reader(kinds...).Run(ctx))
				a.restart()
			}
			v.faults, v.stopAt = func() string { return "" }, 0
			last := a.reader(kinds...)
			check(t, last.Once(t.Context()))
			a.want(v)
			if last.Problem() != "" || !strings.HasPrefix(last.Note(), "all was read at ") {
				t.Errorf("it says %q, %q", last.Problem(), last.Note())
			}
			before := len(a.lines())
			check(t, last.Once(t.Context()))
			check(t, a.reader(kinds...).Once(t.Context()))
			if n := len(a.lines()); n != before {
				t.Errorf("%d lines came again", n-before)
			}
		})
	}
}

// TestTokenForgotten reads anew when the API does not know the token any more;
// what the spool has is not written again.
func TestTokenForgotten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	v, api := startVendor(t, false)
	for range 5 {
		v.write(r, "receipt")
	}
	a := newAccount(t, api)
	check(t, a.reader("receipt").Once(t.Context()))
	v.write(r, "receipt")
	v.forgets = "after-5"
	ends := 0
	v.faults = func() string { // the reading anew is broken off, too
		if ends++; ends == 4 {
			return "cut"
		}
		return ""
	}
	if err := a.reader("receipt").Once(t.Context()); err == nil {
		t.Error("the fault was not told")
	}
	a.restart()
	check(t, a.reader("receipt").Once(t.Context()))
	a.want(v)
}

// TestNoToken asks for a page again that came without a token, and takes the
// files that are new.
func TestNoToken(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	v, api := startVendor(t, false)
	v.noTokens = true
	v.write(r, "receipt")
	a := newAccount(t, api)
	check(t, a.reader("receipt").Once(t.Context()))
	v.write(r, "receipt")
	check(t, a.reader("receipt").Once(t.Context()))
	check(t, a.reader("receipt").Once(t.Context()))
	a.want(v)
}

// TestFileThatIsGone leaves a file out that cannot be had, after a while, says
// so, and reads the others.
func TestFileThatIsGone(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	v, api := startVendor(t, false)
	v.write(r, "receipt")
	v.write(r, "receipt")
	v.write(r, "receipt")
	a := newAccount(t, api)
	reader := a.reader("receipt")
	v.faults = func() string {
		if v.calls[len(v.calls)-1] == "GET /files/receipt/1" {
			return "expired"
		}
		return ""
	}
	var err error
	for range mostTries {
		if err = reader.Once(t.Context()); err == nil {
			break
		}
		if !strings.Contains(reader.Problem(), "read the receipt log: file /files/receipt/1: 127.0.0.1") || strings.Contains(reader.Problem(), "signature") {
			t.Errorf("it says %q", reader.Problem())
		}
	}
	check(t, err)
	if p := reader.Problem(); !strings.HasPrefix(p, "1 files could not be had and were left out, the last: file /files/receipt/1: ") {
		t.Errorf("it says %q", p)
	}
	v.logs["receipt"] = slices.Delete(v.logs["receipt"], 1, 2)
	a.want(v)
}

// TestOneKindRefused reads the others when one log may not be read.
func TestOneKindRefused(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	v, api := startVendor(t, false)
	v.write(r, "delivery")
	a := newAccount(t, api)
	first := true
	v.faults = func() string {
		if first {
			first = false
			return "fail"
		}
		return ""
	}
	reader := a.reader("receipt", "delivery")
	var refused *mimecast.Error
	if err := reader.Once(t.Context()); !errors.As(err, &refused) || refused.Code != "err_internal" {
		t.Errorf("it says %v", err)
	}
	a.want(v)
}

// TestRateLimit does not ask before the limit is over.
func TestRateLimit(t *testing.T) {
	v, api := startVendor(t, false)
	v.write(rand.New(rand.NewPCG(5, 1)), "receipt")
	v.faults = func() string { return "limit" }
	reader := newAccount(t, api).reader("receipt")
	var limit *mimecast.RateLimitError
	if err := reader.Once(t.Context()); !errors.As(err, &limit) || limit.Reset != 2*time.Millisecond {
		t.Errorf("it says %v", err)
	}
	if want := "the API's rate limit is used up"; !strings.Contains(reader.Problem(), want) {
		t.Errorf("it says %q", reader.Problem())
	}
}

// TestZip unpacks what API 1.0 compresses.
func TestZip(t *testing.T) {
	v, api := startVendor(t, true)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range []string{"receipt_1.log", "../delivery_1.log"} {
		w, err := z.Create(name)
		check(t, err)
		_, err = w.Write([]byte("datetime=2026-11-24T10:00:00+0000|aCode=" + name[:4] + "\n"))
		check(t, err)
	}
	check(t, z.Close())
	v.logs[kindMTA] = []string{b.String()}
	a := newAccount(t, api)
	check(t, a.reader().Once(t.Context()))
	if got := a.lines(); len(got) != 2 {
		t.Errorf("the lines are %q", got)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(a.dir), "delivery_1.log")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a name in the zip became a path")
	}
}

// TestHostileAnswers ends in an error that quotes no signature.
func TestHostileAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"no page":              `[]`,
		"an address elsewhere": `{"value":[{"url":"file:///etc/passwd?signature=1"}],"@nextPage":"x"}`,
		"no address":           `{"value":[{"url":"http://%zz?signature=1"}],"@nextPage":"x"}`,
		"nobody there":         `{"value":[{"url":"http://127.0.0.1:1/x?signature=1"}],"@nextPage":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, api := startVendor(t, false)
			a := newAccount(t, api)
			reader := a.reader("receipt")
			reader.source = answering{reader.source.(version2), answer}
			err := reader.Once(t.Context())
			if err == nil || strings.Contains(err.Error(), "signature") || len(a.lines()) != 0 {
				t.Errorf("it says %v, and the lines are %q", err, a.lines())
			}
		})
	}
}

// answering is an API whose every page is one text.
type answering struct {
	version2
	text string
}

func (a answering) page(context.Context, string, string, time.Time) (page, error) {
	return a.read([]byte(a.text))
}

func TestState(t *testing.T) {
	_, api := startVendor(t, false)
	a := newAccount(t, api)
	path := filepath.Join(a.dir, "resume.json")
	for _, text := range []string{"{", `{"version":9}`} {
		check(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := New(Options{API: api, Spool: a.spool, State: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", text, err)
		}
	}
	check(t, os.Remove(path))
	check(t, a.reader("receipt").Once(t.Context()))
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the state's mode is %v", info.Mode())
	}
}
