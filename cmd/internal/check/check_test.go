package check

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

var withDnsmasq = flag.Bool("dnsmasq", false, "ask a real dnsmasq on loopback instead of a server in this process")

// world is what the DNS of the tests holds. Zones: good.test is a sound block
// list, open.test lists everything, dead.test nothing, moved.test answers what
// no list does, paid.test does not serve this resolver.
var world = []string{
	"2.0.0.127.good.test. A 127.0.0.2",
	"99.2.0.192.good.test. A 127.0.0.4",
	"99.2.0.192.good.test. TXT \"spam \\\"seen\\\"\"",
	"2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.good.test. A 127.0.0.2",
	"9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.good.test. A 127.0.0.3",
	"2.0.0.127.open.test. A 127.0.0.2",
	"1.0.0.127.open.test. A 127.0.0.2",
	"99.2.0.192.open.test. A 127.0.0.2",
	"99.2.0.192.moved.test. A 203.0.113.80",
	"99.2.0.192.paid.test. A 127.255.255.254",

	"example.test. MX 20 mx2.example.test.",
	"example.test. MX 10 mx1.example.test.",
	"mx1.example.test. A 192.0.2.25",
	"mx2.example.test. A 192.0.2.26",
	"25.2.0.192.in-addr.arpa. PTR mx1.example.test.",
	"26.2.0.192.in-addr.arpa. PTR elsewhere.example.test.",
	"example.test. TXT \"v=spf1 include:spf.example.test -all\"",
	"example.test. TXT \"some \\\"site's\\\" proof\"",
	"spf.example.test. TXT \"v=spf1 ip4:192.0.2.0/24 -all\"",
	"_dmarc.example.test. TXT \"v=DMARC1; p=reject\"",
	"s1._domainkey.example.test. TXT \"v=DKIM1; k=ed25519; p=AAAA\"",
	"old._domainkey.example.test. TXT \"v=DKIM1; p=\"",
	"twice.test. TXT \"v=spf1 -all\"",
	"twice.test. TXT \"v=spf1 +all\"",
	"deep.test. TXT \"v=spf1 a mx a:b.test a:c.test exists:d.test include:deeper.test ?all\"",
	"deeper.test. TXT \"v=spf1 a mx ptr a:e.test a:f.test -all\"",
	"loop.test. TXT \"v=spf1 include:loop.test +all\"",
	"_dmarc.loop.test. TXT \"v=DMARC1; rua=mailto:x@loop.test\"",
}

func TestBlockLists(t *testing.T) {
	r := newResolver(t)
	cases := []struct{ client, zone, want, code, reason string }{
		{"192.0.2.99", "good.test", Listed, "127.0.0.4", `spam "seen"`},
		{"192.0.2.1", "good.test.", NotListed, "", ""},
		{"2001:db8::9", "good.test", Listed, "127.0.0.3", ""},
		{"::ffff:192.0.2.99", "good.test", Listed, "127.0.0.4", `spam "seen"`},
		{"192.0.2.99", "open.test", Unreliable, "127.0.0.2", ""},
		{"192.0.2.99", "dead.test", Unreliable, "", ""},
		{"192.0.2.99", "moved.test", Unreliable, "203.0.113.80", ""},
		{"192.0.2.99", "paid.test", Refused, "127.255.255.254", ""},
	}
	for _, c := range cases {
		got := r.BlockLists(t.Context(), netip.MustParseAddr(c.client), []string{c.zone})[0]
		if got.Result != c.want || strings.Join(got.Codes, " ") != c.code || got.Reason != c.reason {
			t.Errorf("%s in %s: %+v, want %s %s %q", c.client, c.zone, got, c.want, c.code, c.reason)
		}
		if !got.AskedAt.Equal(r.now()) {
			t.Errorf("%s in %s: asked at %s", c.client, c.zone, got.AskedAt)
		}
		if (got.Result == Unreliable || got.Result == Refused) != (got.Detail != "") {
			t.Errorf("%s in %s: a result of %s with the sentence %q", c.client, c.zone, got.Result, got.Detail)
		}
	}
}

// A server that is not there is no "not listed".
func TestNoAnswer(t *testing.T) {
	r := &Resolver{Server: "127.0.0.1:1", Timeout: time.Second}
	got := r.BlockLists(t.Context(), netip.MustParseAddr("192.0.2.99"), []string{"good.test"})[0]
	if got.Result != NoAnswer || !strings.Contains(got.Detail, "127.0.0.1:1") {
		t.Errorf("%+v", got)
	}
	if d := r.Domain(t.Context(), "example.test", nil); d.Exists() || len(d.Faults) == 0 {
		t.Errorf("a domain nobody answers for: %+v", d)
	}
}

func TestDomain(t *testing.T) {
	r := newResolver(t)
	got := r.Domain(t.Context(), "Example.test.", []string{"s1", "old", "none"})
	want := Domain{
		Domain: "example.test",
		MX: []MX{
			{10, "mx1.example.test", []Address{{"192.0.2.25", []string{"mx1.example.test"}, true}}},
			{20, "mx2.example.test", []Address{{"192.0.2.26", []string{"elsewhere.example.test"}, false}}},
		},
		SPF:   Record{Name: "example.test", Result: Found, Text: "v=spf1 include:spf.example.test -all"},
		DMARC: Record{Name: "_dmarc.example.test", Result: Found, Text: "v=DMARC1; p=reject"},
		DKIM: []Record{
			{Name: "s1._domainkey.example.test", Result: Found, Text: "v=DKIM1; k=ed25519; p=AAAA"},
			{Name: "old._domainkey.example.test", Result: Broken, Text: "v=DKIM1; p=", Problems: []string{"the key is revoked: p= is empty (RFC 6376 section 3.6.1)"}},
			{Name: "none._domainkey.example.test", Result: Missing},
		},
		AskedAt: r.now(),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("example.test (-want +got):\n%s", diff)
	}
}

func TestFaultyRecords(t *testing.T) {
	r := newResolver(t)
	cases := []struct{ domain, result, problem string }{
		{"twice.test", Broken, "several SPF records"},
		{"deep.test", Broken, "more than 10 further questions"},
		{"loop.test", Found, "+all"},
		{"nothing.test", Missing, ""},
	}
	for _, c := range cases {
		got := r.Domain(t.Context(), c.domain, nil).SPF
		if got.Result != c.result || !strings.Contains(strings.Join(got.Problems, "; "), c.problem) {
			t.Errorf("%s: %+v, want %s with %q", c.domain, got, c.result, c.problem)
		}
	}
	if got := r.Domain(t.Context(), "mail.example.test", nil).DMARC; got.Name != "_dmarc.example.test" || got.Result != Found {
		t.Errorf("a sub-domain's DMARC record is that of its organisation: %+v", got)
	}
	if got := r.Domain(t.Context(), "loop.test", nil).DMARC; got.Result != Broken {
		t.Errorf("a DMARC record without policy: %+v", got)
	}
}

// Answers are kept for their time to live and asked again after it.
func TestAnswersAreKept(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var asked atomic.Int64
	r := &Resolver{Server: serve(t, func(dns.Question) { asked.Add(1) }), Now: func() time.Time { return now }}
	client := netip.MustParseAddr("192.0.2.99")
	first := r.BlockLists(t.Context(), client, []string{"good.test"})
	before := asked.Load()
	now = now.Add(time.Minute)
	if diff := cmp.Diff(first, r.BlockLists(t.Context(), client, []string{"good.test"})); diff != "" || asked.Load() != before {
		t.Errorf("%d more questions within the time to live; difference:\n%s", asked.Load()-before, diff)
	}
	now = now.Add(2 * time.Hour)
	if r.BlockLists(t.Context(), client, []string{"good.test"}); asked.Load() == before {
		t.Error("nothing was asked again after the time to live")
	}
}

func newResolver(t *testing.T) *Resolver {
	t.Helper()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	server := ""
	if *withDnsmasq {
		server = dnsmasq(t)
	} else {
		server = serve(t, func(dns.Question) {})
	}
	return &Resolver{Server: server, Now: func() time.Time { return now }}
}

// serve answers from world on a loopback port.
func serve(t *testing.T, note func(dns.Question)) string {
	t.Helper()
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	server := &dns.Server{PacketConn: listener, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		mu.Lock()
		defer mu.Unlock()
		note(m.Question[0])
		w.WriteMsg(answerTo(t, m))
	})}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return listener.LocalAddr().String()
}

func answerTo(t *testing.T, m *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(m)
	known := false
	for _, text := range world {
		name, rest, _ := strings.Cut(text, " ")
		record, err := dns.NewRR(name + " 3600 IN " + rest)
		if err != nil {
			t.Error(err)
		}
		if name == dns.CanonicalName(m.Question[0].Name) {
			known = true
			if record.Header().Rrtype == m.Question[0].Qtype {
				reply.Answer = append(reply.Answer, record)
			}
		}
	}
	if !known {
		reply.Rcode = dns.RcodeNameError
	}
	return reply
}

// dnsmasq starts the real one with the same world.
func dnsmasq(t *testing.T) string {
	t.Helper()
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.LocalAddr().(*net.UDPAddr).Port
	free.Close()
	args := []string{"--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=",
		"--listen-address=127.0.0.1", "--bind-interfaces", "--local=/test/", "--local=/arpa/", "--port", fmt.Sprint(port)}
	for _, text := range world {
		f := strings.SplitN(text, " ", 3)
		name, value := strings.TrimSuffix(f[0], "."), strings.TrimSuffix(f[2], ".")
		switch f[1] {
		case "A":
			args = append(args, fmt.Sprintf("--address=/%s/%s", name, value))
		case "TXT":
			value = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(f[2], `"`), `"`), `\"`, `"`)
			args = append(args, fmt.Sprintf("--txt-record=%s,%s", name, value))
		case "PTR":
			args = append(args, fmt.Sprintf("--ptr-record=%s,%s", name, value))
		case "MX":
			preference, host, _ := strings.Cut(value, " ")
			args = append(args, fmt.Sprintf("--mx-host=%s,%s,%s", name, host, preference))
		}
	}
	command := exec.Command("dnsmasq", args...)
	if err := command.Start(); err != nil {
		t.Fatalf("start dnsmasq (Debian's dnsmasq-base): %v", err)
	}
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	server := fmt.Sprintf("127.0.0.1:%d", port)
	deadline := time.Now().Add(10 * time.Second)
	for {
		m := new(dns.Msg).SetQuestion("example.test.", dns.TypeMX)
		if _, _, err := new(dns.Client).Exchange(m, server); err == nil {
			return server
		} else if time.Now().After(deadline) {
			t.Fatalf("dnsmasq does not answer: %v", err)
		}
	}
}
