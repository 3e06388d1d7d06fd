package publish

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

var (
	withPostmap = flag.Bool("postmap", false, "hold the Postfix maps against the real postmap, for -hostile of time")
	hostileFor  = flag.Duration("hostile", 5*time.Second, "how long generated addresses are tried with -postmap")
)

// bypass is an exception for one sender.
func bypass(id int, sender string, change ...func(*engine.Policy)) Entry {
	p := engine.Policy{Section: engine.SectionBlockedSenders, ID: fmt.Sprintf("E-%d", id), Option: engine.OptionNoAction, FromPart: engine.EnvelopeFrom,
		From: engine.Spec{Type: engine.IndividualAddress, Value: sender}, To: engine.Spec{Type: engine.InternalAddresses}}
	if !strings.Contains(sender, "@") {
		p.From.Type = engine.EmailDomain
	}
	for _, c := range change {
		c(&p)
	}
	return Entry{ID: id, Change: engine.Change{Kind: engine.KindBypass, Policies: []engine.Policy{p}}}
}

func to(recipient string) func(*engine.Policy) {
	return func(p *engine.Policy) { p.To = engine.Spec{Type: engine.IndividualAddress, Value: recipient} }
}

func byHeader(p *engine.Policy) { p.FromPart = engine.HeaderFrom }

// lists are one of each, without the gateway's own programs.
func lists(t *testing.T) map[string]*list {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	postfix, err := NewPostfix(PostfixOptions{Name: "postfix", Type: "lmdb", Path: at("postfix")})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*list{}
	for _, p := range []Publisher{postfix, NewExim(EximOptions{Name: "exim", Path: at("exim")}), NewOpenSMTPD(OpenSMTPDOptions{Name: "opensmtpd", Path: at("opensmtpd")}),
		NewSendmail(SendmailOptions{Name: "sendmail", Path: at("sendmail")}), NewRspamd(RspamdOptions{Name: "rspamd", Path: at("rspamd")}),
		NewSpamAssassin(SpamAssassinOptions{Name: "spamassassin", Path: at("spamassassin")})} {
		l := p.(*list)
		l.d.remove, l.d.put, l.d.query = nil, nil, nil
		all[l.name] = l
	}
	return all
}

func TestWhatTheListsSay(t *testing.T) {
	want := []Entry{bypass(1, "alice@vendor.example"), bypass(2, "bulk.example"), bypass(3, "carol@vendor.example", to("bob@corp.example")), bypass(4, "boss@partner.example", byHeader)}
	says := map[string]string{
		"postfix":      "alice@vendor.example DUNNO\nbulk.example DUNNO",
		"exim":         "@bulk.example>*: bypass\nalice@vendor.example>*: bypass\ncarol@vendor.example>bob@corp.example: bypass\nheader=boss@partner.example>*: bypass",
		"opensmtpd":    "@bulk.example\nalice@vendor.example",
		"sendmail":     "From:alice@vendor.example\tOK\nFrom:bulk.example\tSKIP",
		"rspamd":       "@bulk.example\nalice@vendor.example",
		"spamassassin": "welcomelist_from alice@vendor.example\nwelcomelist_from boss@partner.example",
	}
	for name, l := range lists(t) {
		var fit []Entry
		for _, e := range want {
			if _, err := l.Fits(e); err == nil {
				fit = append(fit, e)
			}
		}
		plan, err := l.Plan(t.Context(), fit)
		if err != nil {
			t.Fatal(name, err)
		}
		if got := strings.ReplaceAll(plan.String(), "+ ", ""); got != says[name] {
			t.Errorf("%s plans\n%s\nwant\n%s", name, got, says[name])
		}
		for range 2 {
			if err := errors.Join(l.Apply(t.Context(), fit), l.Verify(t.Context(), fit)); err != nil {
				t.Fatal(name, err)
			}
		}
		if plan, err := l.Plan(t.Context(), fit); err != nil || len(plan) != 0 {
			t.Errorf("%s still plans %v (%v)", name, plan, err)
		}
		if err := l.Withdraw(t.Context()); err != nil {
			t.Fatal(name, err)
		}
		if data, err := os.ReadFile(l.block.path); err != nil || len(data) != 0 {
			t.Errorf("%s left %q (%v)", name, data, err)
		}
	}
}

// TestListsHoldExactlyWhatTheyAreGiven: whatever an address looks like, the
// block has one line for it or it is refused.
func TestListsHoldExactlyWhatTheyAreGiven(t *testing.T) {
	for name, l := range lists(t) {
		for i, address := range hostile() {
			e := bypass(i+1, address)
			e.Change.Policies[0].From.Type = engine.IndividualAddress
			if _, err := l.Fits(e); err != nil {
				continue
			}
			if err := l.Apply(t.Context(), []Entry{e}); err != nil {
				t.Errorf("%s: %q fits and is then refused: %v", name, address, err)
				continue
			}
			ours, rest, err := l.block.read()
			if err != nil || len(rest) != 0 || len(ours) != 2 || !strings.Contains(ours[1], string(mail.Path(address).Fold())) {
				t.Errorf("%s: for %q the file says %q and %q (%v)", name, address, ours, rest, err)
			}
		}
	}
}

func TestTwoExceptionsForOneKey(t *testing.T) {
	l := lists(t)["postfix"]
	both := []Entry{bypass(1, "alice@vendor.example"), bypass(2, "Alice@Vendor.Example")}
	if err := errors.Join(l.Apply(t.Context(), both), l.Apply(t.Context(), both[1:]), l.Verify(t.Context(), both[1:])); err != nil {
		t.Errorf("the end of one took the other along: %v", err)
	}
}

func TestPostfixLifts(t *testing.T) {
	l := lists(t)["postfix"]
	if err := os.WriteFile(l.block.path, []byte("vendor.example REJECT\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused := mail.Message{Format: "postfix", Phase: mail.PhaseRcpt, EnvelopeFrom: "a@mail.vendor.example", Reported: mail.Reported{Type: "Sender address rejected"}}
	if ok, why := l.Lifts(&refused); !ok || !strings.Contains(why, "lists vendor.example (REJECT)") {
		t.Errorf("%v, %s", ok, why)
	}
	refused.EnvelopeFrom = "a@other.example"
	if ok, why := l.Lifts(&refused); ok || !strings.Contains(why, "another check refused it") {
		t.Errorf("%v, %s", ok, why)
	}
	refused.Reported.Type = "Client host rejected"
	if ok, why := l.Lifts(&refused); ok || !strings.HasPrefix(why, "client host rejected refused it") {
		t.Errorf("%v, %s", ok, why)
	}
}

// TestRealPostmap writes generated and hostile addresses to a real map, in
// batches over entries of the site's own, and holds the whole map against what
// was asked for.
func TestRealPostmap(t *testing.T) {
	if !*withPostmap {
		t.Skip("needs -postmap: Postfix's own program")
	}
	for _, kind := range []string{"lmdb", "hash"} {
		t.Run(kind, func(t *testing.T) { holdAgainstPostmap(t, kind) })
	}
}

func holdAgainstPostmap(t *testing.T, kind string) {
	dir := t.TempDir()
	path := filepath.Join(dir, "map")
	site := map[string]string{"vendor.example": "REJECT", "a+b@vendor.example": "550 5.7.1 no", "bad.example": "REJECT"}
	var text strings.Builder
	for key, value := range site {
		fmt.Fprintf(&text, "%s %s\n", key, value)
	}
	for name, content := range map[string]string{path: text.String(), filepath.Join(dir, "main.cf"): "compatibility_level = 3.6\n", filepath.Join(dir, "master.cf"): ""} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := NewPostfix(PostfixOptions{Name: "mx", Type: kind, Path: path, ConfigDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "postmap", "-c", dir, kind+":"+path).CombinedOutput(); err != nil {
		t.Fatalf("postmap: %v\n%s", err, out)
	}
	random := rand.New(rand.NewPCG(1, 2))
	tried, written := 0, 0
	for begin := time.Now(); tried == 0 || time.Since(begin) < *hostileFor; {
		shall := maps.Clone(site)
		var want []Entry
		for i, address := range append(hostile(), generated(random, 200)...) {
			tried++
			e := bypass(i+1, address)
			e.Change.Policies[0].From.Type = engine.IndividualAddress
			if _, err := p.Fits(e); err != nil {
				continue
			}
			written++
			want = append(want, e)
			shall[string(mail.Path(address).Fold())] = dunno
		}
		if err := errors.Join(p.Apply(t.Context(), want), p.Verify(t.Context(), want)); err != nil {
			t.Fatal(err)
		}
		if has := dump(t, dir, kind+":"+path); !maps.Equal(has, shall) {
			t.Fatalf("the map holds %d entries, want %d: %v", len(has), len(shall), unequal(has, shall))
		}
		if random.IntN(4) == 0 {
			if err := p.Withdraw(t.Context()); err != nil {
				t.Fatal(err)
			}
			if has := dump(t, dir, kind+":"+path); !maps.Equal(has, site) {
				t.Fatalf("after withdrawing the map holds %v, want %v", has, site)
			}
		}
	}
	t.Logf("%d addresses tried, %d written", tried, written)
}

func unequal(a, b map[string]string) (keys []string) {
	for key := range a {
		if a[key] != b[key] {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// dump asks postmap for everything that a map holds.
func dump(t *testing.T, config, table string) map[string]string {
	t.Helper()
	out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "postmap", "-c", config, "-s", table).Output()
	if err != nil {
		t.Fatalf("postmap -s: %v", err)
	}
	entries := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		entries[key] = value
	}
	return entries
}

// generated are local parts of any bytes at vendor.example.
func generated(random *rand.Rand, n int) []string {
	const alphabet = "abcXYZ019.-_+=!#$%&'*/?^`{|}~\"\\ \t\n\x00:;,<>()[]@é\u202e"
	runes := []rune(alphabet)
	var list []string
	for range n {
		local := make([]rune, 1+random.IntN(12))
		for i := range local {
			local[i] = runes[random.IntN(len(runes))]
		}
		list = append(list, string(local)+"@vendor.example")
	}
	return list
}
