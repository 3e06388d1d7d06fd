package index

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// model is the index as a plain list: the obvious way to answer.
type model map[string]mail.Message

func (m model) page(t *testing.T, line string, after Cursor, limit int) []string {
	t.Helper()
	q, err := ParseQuery(line, noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for id, msg := range m {
		if q.inTime(msg.Time) && (after == "" || id < string(after)) && plainMatch(q, &msg) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return strings.Compare(b, a) })
	return ids[:min(limit, len(ids))]
}

func plainMatch(q Query, m *mail.Message) bool {
	fields := fieldsOf(m)
	fields[fieldOutcome] = []string{string(m.Outcome)}
	for _, term := range q.Terms {
		found := false
		if f, ok := exactFields[term.Field]; ok {
			found = slices.Contains(fields[f], term.Value)
		} else {
			in := fragmentFields
			if term.Field != "" {
				in = []string{fragmentFieldOf[term.Field]}
			} else {
				found = slices.Contains(fields[fieldID], term.Value)
			}
			for _, f := range in {
				found = found || slices.ContainsFunc(fields[f], func(v string) bool { return strings.Contains(v, term.Value) })
			}
		}
		if found == term.Not {
			return false
		}
	}
	return true
}

func randomMessage(r *rand.Rand) mail.Message {
	at := noon.Add(-time.Duration(r.IntN(10*24*3600)) * time.Second)
	domains := []string{"acme.example", "lists.acme.example", "example.net", "example.org"}
	m := mail.Message{
		ID: fmt.Sprintf("%013d-%016x-%012d-000", at.UnixMilli(), 7, r.IntN(1_000_000)), Time: at, Last: at,
		EnvelopeFrom: mail.Path(fmt.Sprintf("user%d@%s", r.IntN(40), domains[r.IntN(4)])), Recipient: mail.Path(fmt.Sprintf("bob%d@corp.example", r.IntN(5))),
		Outcome: []mail.Outcome{mail.Rejected, mail.Deferred, mail.Bounced}[r.IntN(3)], QueueID: fmt.Sprintf("Q%d", r.IntN(100)),
		Reply: mail.Reply{Code: []int{550, 451}[r.IntN(2)], Text: []string{"envelope blocked", "try again later"}[r.IntN(2)]},
	}
	if r.IntN(10) == 0 {
		m.EnvelopeFrom = mail.NullPath
	}
	return m
}

var modelQueries = []string{"", "since:all", "acme", "since:all acme", "from:user1@", "from:user1 -is:rejected since:all", "is:deferred code:451", "blocked since:3d",
	"since:all qid:q7", "from:<> since:all", "zzz since:all", "until:2026-11-20 since:all", "reason:again to:bob3", "since:2026-11-21", "u", "q7 since:all"}

// TestPagesEqualTheModel puts, replaces, reopens and searches at random.
func TestPagesEqualTheModel(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	x, err := Open(dir, Options{ShardDocs: 40})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { x.Close() }()
	all := model{}
	for round := range 12 {
		var batch []mail.Message
		for range 30 {
			m := randomMessage(r)
			if len(all) > 0 && r.IntN(4) == 0 { // a later attempt of a message seen before
				for id, old := range all {
					old.ID, old.Outcome, old.Attempts = id, mail.Delivered, old.Attempts+1
					m = old
					break
				}
			}
			all[m.ID] = m
			batch = append(batch, m)
		}
		if err := x.Put(ctx, batch); err != nil {
			t.Fatal(err)
		}
		if round%4 == 3 {
			if err := x.Close(); err != nil {
				t.Fatal(err)
			}
			if x, err = Open(dir, Options{ShardDocs: 40}); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range modelQueries {
			checkAgainstModel(t, x, all, line)
		}
	}
}

func checkAgainstModel(t *testing.T, x *Index, all model, line string) {
	t.Helper()
	ctx := context.Background()
	q, err := ParseQuery(line, noon, time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	after := Cursor("")
	for {
		p, err := x.Page(ctx, q, after, 17)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		var got []string
		for _, m := range p.Rows {
			got = append(got, m.ID)
			if m.Outcome != all[m.ID].Outcome {
				t.Errorf("%q: %s is %s, want %s", line, m.ID, m.Outcome, all[m.ID].Outcome)
			}
		}
		if want := all.page(t, line, after, 17); !slices.Equal(got, want) {
			t.Fatalf("%q after %q:\n got %v\nwant %v", line, after, got, want)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	total, err := x.Count(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(all.page(t, line, "", len(all))); total.Count != want || total.Of != len(all) {
		t.Errorf("%q: count %+v, want %d of %d", line, total, want, len(all))
	}
}

func TestQueryErrorsNameThePosition(t *testing.T) {
	for line, want := range map[string]string{
		`acme is:gone`:    "position 6: is:gone is not known",
		`from:a "open`:    "position 8: a quote is not closed",
		`since:yesterday`: "position 1: since: takes",
		`frm:acme`:        "position 1: unknown field",
		`a at:25:99`:      "position 3: at: takes",
	} {
		_, err := ParseQuery(line, noon, time.UTC)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, line := range modelQueries {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		q, err := ParseQuery(line, noon, time.UTC)
		if err != nil {
			return
		}
		for _, term := range q.Terms {
			if len(term.Value) > longestTerm {
				t.Errorf("a term of %d bytes", len(term.Value))
			}
		}
	})
}

func TestCorruptShardIsSetAside(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	x, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := randomMessage(rand.New(rand.NewPCG(3, 3)))
	if err := x.Put(ctx, []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	name := x.shards[0].name
	x.Close()
	breakShard(t, dir, name)
	if x, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if _, err := x.Page(ctx, Query{}, "", 10); err != nil {
		t.Fatal(err)
	}
	if p := x.Problems(); len(p) != 1 || !strings.Contains(p[0], "set aside") {
		t.Errorf("problems: %v", p)
	}
	if err := x.Put(ctx, []mail.Message{m}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Get(ctx, m.ID); err != nil {
		t.Error(err)
	}
}
