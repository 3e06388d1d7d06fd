package sealed

import (
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
)

var testFields = []Field{{Name: "sender", Fragments: true}, {Name: "is"}}

func randomText(r *rand.Rand) string {
	text := make([]byte, 1+r.IntN(8))
	for i := range text {
		text[i] = "ab.@\x00"[r.IntN(5)]
	}
	return string(text)
}

func randomDocuments(r *rand.Rand, n int) []Document {
	var list []Document
	at := int64(1_700_000_000_000)
	for i := range n {
		at += int64(r.IntN(3))
		list = append(list, Document{
			ID: fmt.Sprintf("%013d-%06d", at, i), Time: at, Row: []byte(strings.Repeat(randomText(r), r.IntN(40))),
			Values: map[string][]string{"sender": {randomText(r), randomText(r)}, "is": {[]string{"rejected", "deferred"}[r.IntN(2)]}},
			Keys:   []string{randomText(r)},
		})
	}
	return list
}

func build(t testing.TB, path string, documents []Document) *Segment {
	t.Helper()
	b, err := NewBuilder(path, testFields)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range documents {
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Finish(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// holds is Match for one document, the obvious way.
func holds(d Document, conditions []Condition) bool {
	for _, c := range conditions {
		found := slices.ContainsFunc(c.Any, func(l Lookup) bool {
			switch {
			case l.Key:
				return slices.Contains(d.Keys, l.Text)
			case l.Whole:
				return slices.Contains(d.Values[l.Field], l.Text)
			}
			return slices.ContainsFunc(d.Values[l.Field], func(v string) bool { return strings.Contains(v, l.Text) })
		})
		if found == c.Not {
			return false
		}
	}
	return true
}

func randomConditions(r *rand.Rand) []Condition {
	var list []Condition
	for range r.IntN(3) {
		text := randomText(r)
		text = text[:1+r.IntN(len(text))]
		c := Condition{Not: r.IntN(3) == 0}
		switch r.IntN(4) {
		case 0:
			c.Any = []Lookup{{Field: "is", Text: "rejected", Whole: true}}
		case 1:
			c.Any = []Lookup{{Key: true, Text: text}, {Field: "sender", Text: text}}
		default:
			c.Any = []Lookup{{Field: "sender", Text: text}}
		}
		list = append(list, c)
	}
	return list
}

func TestMatchEqualsLookingAtEveryDocument(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 15, 16, 17, 700} {
		documents := randomDocuments(r, n)
		s := build(t, filepath.Join(t.TempDir(), "s"), documents)
		if s.Len() != n {
			t.Fatalf("%d documents, want %d", s.Len(), n)
		}
		for range 300 {
			conditions := randomConditions(r)
			span := Span{r.IntN(n + 1), r.IntN(n + 1)}
			set, err := s.Match(context.Background(), span, conditions)
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range documents {
				want := i >= span.From && i < span.To && holds(d, conditions)
				if got := set != nil && set.Test(uint(i)); got != want {
					t.Fatalf("%d documents, %+v within %v: document %d is %v, want %v", n, conditions, span, i, got, want)
				}
			}
		}
	}
}

func TestRowsAndTimesComeBack(t *testing.T) {
	documents := randomDocuments(rand.New(rand.NewPCG(2, 2)), 500)
	s := build(t, filepath.Join(t.TempDir(), "s"), documents)
	var err error
	i := 0
	for id, row := range s.Rows(&err) {
		if d := documents[i]; id != d.ID || !bytes.Equal(row, d.Row) || s.Time(i) != d.Time {
			t.Fatalf("document %d came back as %q %q at %d", i, id, row, s.Time(i))
		}
		i++
	}
	if err != nil || i != len(documents) {
		t.Fatalf("%d rows, %v", i, err)
	}
	for i, d := range documents {
		if at, found, err := s.Find(d.ID, d.Time); at != i || !found || err != nil {
			t.Fatalf("id of document %d found at %d, %v, %v", i, at, found, err)
		}
		if at, found, err := s.Find(d.ID+"x", d.Time); at != i+1 || found || err != nil {
			t.Fatalf("an id after document %d found at %d, %v, %v", i, at, found, err)
		}
	}
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
}

// TestDamageIsAnError changes one byte at a time: nothing panics, and Verify
// sees what changes the contents.
func TestDamageIsAnError(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	path := filepath.Join(t.TempDir(), "s")
	build(t, path, randomDocuments(r, 200))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		damaged := bytes.Clone(whole)
		at := r.IntN(len(damaged))
		damaged[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(path+"d", damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path + "d")
		if err == nil {
			for range 5 {
				_, _ = s.Match(context.Background(), Span{0, s.Len()}, randomConditions(r))
			}
			for range s.Rows(&err) {
			}
			err = s.Verify()
			s.Close()
		}
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d of %d changed: %v", at, len(whole), err)
		}
	}
	for _, length := range []int{0, 10, len(whole) - 1} {
		if err := os.WriteFile(path+"d", whole[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path + "d"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v", length, err)
		}
	}
}
