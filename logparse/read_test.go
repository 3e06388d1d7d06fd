package logparse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

// parseAhead is parse with Stream.Read.
func parseAhead(t *testing.T, source Source, r io.Reader) (map[string]mail.Message, Stats) {
	t.Helper()
	p := NewParser(Options{})
	s := p.Open(source)
	got := map[string]mail.Message{}
	if err := s.Read(t.Context(), r, func() { got = drain(p, got) }); err != nil {
		t.Fatal(err)
	}
	return got, s.Stats()
}

// TestReadIsFeed reads logs of many blocks, with reading ahead of joining, and
// asks for what one goroutine finds: the sample logs of each format in turn.
func TestReadIsFeed(t *testing.T) {
	folders, err := filepath.Glob("../sample-logs/*")
	if err != nil || len(folders) == 0 {
		t.Fatalf("sample logs: %v, %v", folders, err)
	}
	check := func(t *testing.T, data []byte) {
		source := Source{ID: "0123456789abcdef", Name: "mail.log", ModTime: written}
		want, wantStats := parse(Options{}, source, data)
		got, stats := parseAhead(t, source, iotest.HalfReader(bytes.NewReader(data)))
		if !reflect.DeepEqual(got, want) {
			t.Error(cmp.Diff(want, got))
		}
		if d := cmp.Diff(wantStats, stats); d != "" {
			t.Error(d)
		}
	}
	for _, folder := range folders {
		logs, _ := filepath.Glob(filepath.Join(folder, "*.log"))
		if len(logs) == 0 {
			continue // the policy beside them
		}
		t.Run(filepath.Base(folder), func(t *testing.T) {
			var all []byte
			for _, path := range logs {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, data...)
			}
			check(t, bytes.Repeat(all, blockSize/(len(all)+1)+2))
		})
	}
	var long bytes.Buffer
	if err := traffic(&long, 1<<20); err != nil {
		t.Fatal(err)
	}
	long.WriteString(strings.Repeat("x", 3*maxLine) + "\r\rhalf a reject line")
	t.Run("traffic", func(t *testing.T) { check(t, long.Bytes()) })
}

func TestReadBreaksOff(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{10, 3 * blockSize} {
		p := NewParser(Options{})
		s := p.Open(Source{ID: "s", Name: "f"})
		line := "something was rejected\n"
		r := io.MultiReader(strings.NewReader(strings.Repeat(line, size/len(line)+1)+"half of what was rejec"), iotest.ErrReader(broken))
		if err := s.Read(t.Context(), r, func() {}); !errors.Is(err, broken) {
			t.Errorf("after %d bytes Read returns %v", size, err)
		}
		if st := s.Stats(); st.Lines != int64(size/len(line)+1) {
			t.Errorf("%d lines of %d were read", st.Lines, size/len(line)+1)
		}
	}
}

func TestReadEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := NewParser(Options{}).Open(Source{ID: "s"})
	endless := readerFunc(func(b []byte) (int, error) { return len(b), nil })
	if err := s.Read(ctx, endless, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("Read returns %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
