package app

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/cmd/internal/config"
	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

var impactDocs = flag.Int("app.docs", 20_000, "messages in the benchmark's index")

// openFor opens an app on a fresh folder with a policy file.
func openFor(tb testing.TB, policy string) *App {
	tb.Helper()
	dir := tb.TempDir()
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		tb.Fatal(err)
	}
	a, err := Open(config.Config{Data: filepath.Join(dir, "data"), Policy: file})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			tb.Error(err)
		}
	})
	return a
}

const blocking = "version: 1\ninternal_domains: [corp.example]\ngroups: {Blocked Senders: {members: [bad.example]}}\n"

func id(at time.Time, n int) string {
	return fmt.Sprintf("%013d-%016x-%012d-000", at.UnixMilli(), 7, n)
}

// TestImpactEqualsAFullScan: what an index finds by a change's reach is what a
// replay of everything finds.
func TestImpactEqualsAFullScan(t *testing.T) {
	a := openFor(t, blocking+"blocked_senders: [{id: H, option: block_sender, from_part: header_from, from: {type: email_domain, value: shop.example}, to: {type: internal_addresses}}]\n")
	now := a.Now()
	var all []mail.Message
	add := func(m mail.Message) {
		m.Time = now.Add(-time.Duration(len(all)) * time.Hour)
		m.ID, m.Last, m.Outcome = id(m.Time, len(all)), m.Time, mail.Rejected
		all = append(all, m)
	}
	for _, sender := range []mail.Path{"a@bad.example", "A@BAD.example", "xa@bad.example", "a@bad.example.test", "a@mail.bad.example", "b@bad.example", "<>", ""} {
		for _, header := range []mail.Path{"", "a@shop.example", "s@shop.example", "a@bad.example"} {
			for _, to := range []mail.Path{"bob@corp.example", "Bob@Corp.example", "bobby@corp.example", "leaver@home.example"} {
				add(mail.Message{EnvelopeFrom: sender, HeaderFrom: header, Recipient: to})
			}
		}
	}
	add(mail.Message{EnvelopeFrom: "x@esp.example", Recipient: "bob@corp.example", Reply: mail.Reply{Code: 550, Text: "Rejected by header based Blocked Senders: a@shop.example"}})
	if err := a.Index.Put(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	set := a.Set()
	tried := 0
	blind := a.For(Person{Veil: Veil{index.Veil{Hidden: []string{"corp.example", "home.example"}}}})
	for i := range all {
		for _, r := range engine.Remedies(set, &all[i], now) {
			got, err := a.Impact(t.Context(), r.Change)
			if err != nil {
				t.Fatal(err)
			}
			want, err := engine.Impact(t.Context(), set, r.Change, now, func(yield func(mail.Message) bool) {
				for i := len(all) - 1; i >= 0; i-- {
					if !yield(all[len(all)-1-i]) {
						return
					}
				}
			})
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%s %s for %+v: %v (-scan +index):\n%s", r.Kind, r.Scope, all[i], err, diff)
			}
			veiled, err := blind.ImpactIn(t.Context(), set, r.Change)
			if err != nil || veiled.Messages != got.Messages || len(veiled.Worst) != 0 {
				t.Fatalf("who sees none of them is told of %v (%d of %d messages): %v", veiled.Worst, veiled.Messages, got.Messages, err)
			}
			tried++
		}
	}
	if tried < 100 {
		t.Errorf("only %d changes were tried", tried)
	}
}

// BenchmarkImpact weighs a change for one sender, one for a domain that a
// twentieth of the messages come from, and one for everyone, over a sealed
// index:
// go test ./cmd/internal/app -run xxx -bench Impact -benchtime 3x -app.docs=1000000
func BenchmarkImpact(b *testing.B) {
	a := openFor(b, blocking)
	now := a.Now()
	var batch []mail.Message
	for i := range *impactDocs {
		at := now.Add(-time.Duration(*impactDocs-i) * 10 * 24 * time.Hour / time.Duration(*impactDocs))
		domain := fmt.Sprintf("d%d.example", i%2000)
		if i%20 == 0 {
			domain = "bad.example"
		}
		batch = append(batch, mail.Message{ID: id(at, i), Time: at, Last: at, Outcome: mail.Rejected, Phase: mail.PhaseRcpt, EnvelopeFrom: mail.Path(fmt.Sprintf("user%d@%s", i%9973, domain)),
			Recipient: mail.Path(fmt.Sprintf("u%d@corp.example", i%4999)), Client: mail.Client{IP: "203.0.113.9"}, Reply: mail.Reply{Code: 550, Text: "Administrative prohibition - envelope blocked"}})
		if len(batch) == 5000 || i == *impactDocs-1 {
			if err := a.Index.Put(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if err := a.Index.Seal(b.Context()); err != nil {
		b.Fatal(err)
	}
	m := mail.Message{EnvelopeFrom: "user20@bad.example", Recipient: "u20@corp.example"}
	draft := func(text string) engine.Change {
		scope, err := engine.ParseScope(text)
		if err != nil {
			b.Fatal(err)
		}
		c, err := engine.Draft(a.Set(), engine.KindBypass, scope, &m, "E-1", "", now, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		return c
	}
	everyone := draft("domain>all")
	everyone.Policies[0].From, everyone.Policies[0].To = engine.Spec{Type: engine.Everyone}, engine.Spec{Type: engine.Everyone}
	for _, w := range []struct {
		name   string
		change engine.Change
	}{{"sender", draft("sender>all")}, {"domain", draft("domain>all")}, {"everyone", everyone}} {
		b.Run(w.name, func(b *testing.B) {
			var report engine.ImpactReport
			for b.Loop() {
				var err error
				if report, err = a.Impact(context.Background(), w.change); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(report.Messages), "flipped")
			b.ReportMetric(float64(report.Examined), "examined")
		})
	}
}
