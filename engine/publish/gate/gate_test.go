package gate

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/d--j/go-milter"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

const policies = `version: 1
internal_domains: [corp.example]
groups:
  Closed: {members: [closed@corp.example]}
blocked_senders:
  - {id: P-1, description: domain, option: block_sender, from: {type: email_domain, value: vendor.example}, to: {type: internal_addresses}}
  - {id: P-2, description: one may, option: no_action, from: {type: individual_email_address, value: good@vendor.example}, to: {type: internal_addresses}}
  - {id: P-3, description: by header, option: block_sender, from_part: header_from, from: {type: individual_email_address, value: boss@partner.example}, to: {type: internal_addresses}}
  - {id: P-4, description: both, option: block_sender, from_part: both, from: {type: email_domain, value: both.example}, to: {type: profile_group, value: Closed}}
managed_senders:
  - {recipient: sue@corp.example, sender: ads@shop.example, action: block}
`

func load(t testing.TB, text string) *engine.Set {
	t.Helper()
	set, err := engine.Load("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// mx is a mail server that asks a milter.
type mx struct {
	client *milter.Client
	log    *Log
	gate   *Gate
}

func startMilter(t testing.TB, o Options) *mx {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Log = OpenLog(filepath.Join(t.TempDir(), "decisions.jsonl"))
	g := New(o)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- g.Milter(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		o.Log.Close()
	})
	return &mx{milter.NewClient("tcp", l.Addr().String()), o.Log, g}
}

// letter is one message over one session.
type letter struct {
	from, header string
	to           []string
}

// send plays an SMTP dialogue and returns what each recipient and at last the
// message got; "" is acceptance.
func (x *mx) send(t testing.TB, l letter) (replies []string) {
	t.Helper()
	macros := milter.NewMacroBag()
	s, err := x.client.Session(macros)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return x.sendIn(t, s, l)
}

func (x *mx) sendIn(t testing.TB, s *milter.ClientSession, l letter) (replies []string) {
	t.Helper()
	said := func(a *milter.Action, err error) bool {
		if err != nil {
			t.Fatal(err)
		}
		text := ""
		if a.StopProcessing() {
			text = strings.TrimSpace(a.SMTPReply)
		}
		replies = append(replies, text)
		return text == ""
	}
	must := func(_ *milter.Action, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Conn("mail.vendor.example", milter.FamilyInet, 25, "198.51.100.7"))
	must(s.Helo("mail.vendor.example"))
	must(s.Mail(l.from, ""))
	accepted := 0
	for _, to := range l.to {
		if said(s.Rcpt(to, "")) {
			accepted++
		}
	}
	if accepted == 0 {
		return replies
	}
	must(s.DataStart())
	must(s.HeaderField("Subject", "hello", nil))
	if l.header != "" {
		must(s.HeaderField("From", l.header, nil))
	}
	said(s.HeaderEnd())
	return replies
}

var tokenInReply = regexp.MustCompile(` \[[A-Za-z0-9]{6}\]$`)

func TestMilterDecides(t *testing.T) {
	set := load(t, policies)
	x := startMilter(t, Options{Set: func() *engine.Set { return set }, Mode: Enforce})
	blocked, byHeader := "550 5.7.1 Policy level block list in force", "550 5.7.1 Rejected by header based Blocked Senders - block policy for Header From"
	for _, c := range []struct {
		name   string
		letter letter
		want   []string
		policy string
	}{
		{"blocked by envelope", letter{"a@vendor.example", "", []string{"bob@corp.example"}}, []string{blocked}, "P-1"},
		{"take no action", letter{"good@vendor.example", "good@vendor.example", []string{"bob@corp.example"}}, []string{"", ""}, ""},
		{"take no action by envelope, blocked by header", letter{"good@vendor.example", "Boss <boss@partner.example>", []string{"bob@corp.example"}}, []string{"", byHeader}, "P-3"},
		{"null path", letter{"", "mailer-daemon@vendor.example", []string{"bob@corp.example"}}, []string{"", ""}, ""},
		{"no From header", letter{"x@other.example", "", []string{"bob@corp.example"}}, []string{"", ""}, ""},
		{"both, by envelope", letter{"x@both.example", "", []string{"closed@corp.example"}}, []string{blocked}, "P-4"},
		{"both, by header", letter{"x@other.example", "x@both.example", []string{"closed@corp.example"}}, []string{"", byHeader}, "P-4"},
		{"a user's list", letter{"ads@shop.example", "", []string{"sue@corp.example"}}, []string{"550 5.7.1 Envelope blocked - User Entry"}, "managed:sue@corp.example/ads@shop.example"},
		{"refused at DATA for one of two: it passes", letter{"x@other.example", "x@both.example", []string{"closed@corp.example", "bob@corp.example"}}, []string{"", "", ""}, ""},
		{"one recipient refused, the other not", letter{"ads@shop.example", "ads@shop.example", []string{"sue@corp.example", "bob@corp.example"}}, []string{"550 5.7.1 Envelope blocked - User Entry", "", ""}, ""},
		{"outside to outside", letter{"x@other.example", "", []string{"y@third.example"}}, []string{"451 4.7.1 Open relay not allowed"}, "default-external-to-external"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := x.send(t, c.letter)
			last := got[len(got)-1]
			for i := range got {
				got[i] = tokenInReply.ReplaceAllString(got[i], "")
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			if c.policy == "" {
				return
			}
			d, ok := x.log.Find(TokenOf(last), mail.Path(c.letter.to[0]))
			if !ok || d.Policy != c.policy || !d.Enforced || d.Client.IP != "198.51.100.7" {
				t.Errorf("the token of %q leads to %+v", last, d)
			}
			replayed := mail.Message{EnvelopeFrom: d.EnvelopeFrom, HeaderFrom: d.HeaderFrom, Recipient: d.Recipient, Client: d.Client}
			if v := engine.Decide(set, &replayed, d.Time); v.Policy != c.policy {
				t.Errorf("replayed from the log it is policy %q, decided was %q", v.Policy, c.policy)
			}
		})
	}
}

func TestMonitorOnlyLogs(t *testing.T) {
	set := load(t, policies)
	x := startMilter(t, Options{Set: func() *engine.Set { return set }})
	if got := x.send(t, letter{"a@vendor.example", "a@vendor.example", []string{"bob@corp.example"}}); !slices.Equal(got, []string{"", ""}) {
		t.Errorf("got %q", got)
	}
	if _, refused, _ := x.gate.Counts(); refused != 2 { // at RCPT, and again at the end of the header
		t.Errorf("%d refusals counted", refused)
	}
}

func TestSessionOfManyMessages(t *testing.T) {
	set := load(t, policies)
	x := startMilter(t, Options{Set: func() *engine.Set { return set }, Mode: Enforce})
	s, err := x.client.Session(milter.NewMacroBag())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	header := "boss@partner.example"
	for range 3 {
		if got := x.sendIn(t, s, letter{"x@other.example", header, []string{"bob@corp.example"}}); (got[1] == "") != (header == "") {
			t.Fatalf("got %q for header %q", got, header)
		}
		if err := s.Reset(nil); err != nil {
			t.Fatal(err)
		}
		header = "" // what the message before said must be forgotten
	}
}

func TestWhatCannotBeDecided(t *testing.T) {
	for closed, want := range map[bool]string{false: "", true: "451 4.7.1 Unable to process an email at this time"} {
		var calls sync.Once
		x := startMilter(t, Options{Mode: Enforce, FailClosed: closed, Set: func() *engine.Set { return &engine.Set{} },
			Now: func() time.Time { calls.Do(func() { panic("odd") }); return time.Now() }})
		if got := x.send(t, letter{"a@vendor.example", "", []string{"bob@corp.example"}}); got[0] != want {
			t.Errorf("closed %v: got %q", closed, got)
		}
		if _, _, failed := x.gate.Counts(); failed != 1 {
			t.Errorf("%d failures counted", failed)
		}
	}
}

func TestDelegation(t *testing.T) {
	set := load(t, policies)
	g := New(Options{Set: func() *engine.Set { return set }, Mode: Enforce, Log: OpenLog(filepath.Join(t.TempDir(), "decisions.jsonl"))})
	ours, theirs := net.Pipe()
	defer ours.Close()
	go g.delegate(theirs)
	in := bufio.NewReader(ours)
	ask := func(state, sender, recipient string) string {
		t.Helper()
		if _, err := fmt.Fprintf(ours, "request=smtpd_access_policy\nprotocol_state=%s\nsender=%s\nrecipient=%s\nclient_address=198.51.100.7\nodd line\n\n", state, sender, recipient); err != nil {
			t.Fatal(err)
		}
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		return tokenInReply.ReplaceAllString(strings.TrimSuffix(line, "\n"), "")
	}
	for _, c := range [][4]string{
		{"RCPT", "a@vendor.example", "bob@corp.example", "action=550 5.7.1 Policy level block list in force"},
		{"RCPT", "good@vendor.example", "bob@corp.example", "action=DUNNO"},
		{"RCPT", "", "bob@corp.example", "action=DUNNO"},
		{"DATA", "a@vendor.example", "bob@corp.example", "action=DUNNO"},
		{"RCPT", "a@vendor.example", "", "action=DUNNO"},
	} {
		if got := ask(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%v: got %q", c, got)
		}
	}
}

func TestTokensAreFoundAfterRotation(t *testing.T) {
	l := OpenLog(filepath.Join(t.TempDir(), "decisions.jsonl"))
	filler := strings.Repeat("x", 1<<20)
	for i := range 20 {
		if err := l.Append(Decision{Token: fmt.Sprintf("aaaa%02d", i), Policy: fmt.Sprint(i), Reply: mail.Reply{Text: filler}, Recipient: "bob@corp.example"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{0, 19} {
		if d, ok := l.Find(fmt.Sprintf("aaaa%02d", i), "Bob@corp.example"); !ok || d.Policy != fmt.Sprint(i) {
			t.Errorf("token %d: %v %s", i, ok, d.Policy)
		}
	}
	if _, ok := l.Find("aaaa20", ""); ok {
		t.Error("found a token that was never given")
	}
}

func TestParseFrom(t *testing.T) {
	for value, want := range map[string][2]string{
		"boss@partner.example":                           {"boss@partner.example", ""},
		`"The Boss" <boss@partner.example>`:              {"boss@partner.example", "The Boss"},
		"=?utf-8?q?B=C3=B6ss?= <boss@partner.example>":   {"boss@partner.example", "Böss"},
		"a@x.example, b@y.example":                       {"a@x.example", ""},
		"Broken, Name (x <boss@partner.example>":         {"boss@partner.example", "Broken, Name (x"},
		"undisclosed":                                    {"", ""},
		"":                                               {"", ""},
		"<boss@partner.example":                          {"boss@partner.example", ""},
		"boss@partner.example <other@elsewhere.example>": {"other@elsewhere.example", "boss@partner.example"},
	} {
		if from, name := parseFrom(value); string(from) != want[0] || name != want[1] {
			t.Errorf("%q: got %q %q", value, from, name)
		}
	}
}

func FuzzParseFrom(f *testing.F) {
	f.Add(`"The Boss" <boss@partner.example>`)
	f.Fuzz(func(t *testing.T, value string) {
		if from, _ := parseFrom(value); from.Null() {
			t.Errorf("%q gives the null path, which no header from is", value)
		}
	})
}

var soak = flag.Duration("soak", 0, "how long TestLoad sends; 0 leaves it out")

// TestLoad sends 2,000 messages a second over 500 connections against 10,000
// policies and reports how long a decision takes, from the client's side.
func TestLoad(t *testing.T) {
	if *soak == 0 {
		t.Skip("needs -soak: how long to send")
	}
	const connections, perSecond = 500, 2000
	var text strings.Builder
	text.WriteString("version: 1\ninternal_domains: [corp.example]\nblocked_senders:\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "  - {id: P-%d, option: block_sender, from: {type: email_domain, value: d%d.example}, to: {type: internal_addresses}}\n", i, i)
	}
	set := load(t, text.String())
	x := startMilter(t, Options{Set: func() *engine.Set { return set }, Mode: Enforce})
	var mu sync.Mutex
	var took []time.Duration
	var running, connected sync.WaitGroup
	connected.Add(connections)
	for c := range connections {
		running.Go(func() {
			ready := sync.OnceFunc(connected.Done)
			defer ready()
			s, err := x.client.Session(milter.NewMacroBag())
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			_, err = s.Conn("mail.vendor.example", milter.FamilyInet, 25, "198.51.100.7")
			if _, heloErr := s.Helo("mail.vendor.example"); err != nil || heloErr != nil {
				t.Error(err, heloErr)
				return
			}
			ready()
			connected.Wait()
			deadline := time.Now().Add(*soak)
			// Arrivals are spread evenly, each connection at its own moment of the
			// interval: 500 at once would measure their queue.
			<-time.After(time.Second * time.Duration(c) / perSecond)
			tick := time.NewTicker(time.Second * connections / perSecond)
			defer tick.Stop()
			var mine []time.Duration
			for n := 0; time.Now().Before(deadline); n++ {
				<-tick.C
				sender := fmt.Sprintf("a@d%d.example", (c*7919+n)%20_000) // every second one is blocked
				if _, err := s.Mail(sender, ""); err != nil {
					t.Error(err)
					return
				}
				begin := time.Now()
				if _, err := s.Rcpt("bob@corp.example", ""); err != nil {
					t.Error(err)
					return
				}
				mine = append(mine, time.Since(begin))
				if err := s.Abort(nil); err != nil {
					t.Error(err)
					return
				}
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	running.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		t.Fatal("nothing was sent")
	}
	t.Logf("%d decisions, %.0f a second; p50 %s p99 %s p99.9 %s worst %s", len(took), float64(len(took))/soak.Seconds(),
		took[len(took)/2], took[len(took)*99/100], took[len(took)*999/1000], took[len(took)-1])
}
