package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

var envelopes = flag.Int("envelopes", 1000, "with -postfix: how many generated envelopes are compared")

// TestRealPostfixDifferential sends generated envelopes to a real Postfix with
// generated access maps and replays each through what `policy import` reads of
// that Postfix: outcome and deciding line have to be equal, or the difference
// is one of the limitations that have a name.
func TestRealPostfixDifferential(t *testing.T) {
	needPostfix(t)
	for _, address := range clients[2:] {
		command(t, "ip", "addr", "replace", address+"/32", "dev", "lo")
	}
	const configurations = 4
	for n := range configurations {
		t.Run(fmt.Sprint("configuration ", n), func(t *testing.T) {
			r := rand.New(rand.NewPCG(7, uint64(n)))
			compareWithPostfix(t, r, *envelopes/configurations)
		})
	}
}

var clients = []string{"127.0.0.1", "127.0.0.9", "203.0.113.10", "203.0.113.77", "198.51.100.66"}

func pick(r *rand.Rand, list ...string) string { return list[r.IntN(len(list))] }

// envelope is one generated RCPT.
type envelope struct{ client, from, to string }

var (
	locals  = []string{"ann", "Ann", "ann+list", "ann+", "+ann", "ann-list", "bob", "postmaster", "mailer-daemon", "x.y", `"two words"`, "ann+a+b", "bulk7"}
	domains = []string{"a.test", "b.a.test", "C.b.a.test", "x.test", "notx.test", "EXAMPLE.test", "sub.example.test", "relay.test", "up.relay.test", "other.test"}
)

func generate(r *rand.Rand) envelope {
	e := envelope{client: pick(r, clients...), from: pick(r, locals...) + "@" + pick(r, domains...), to: pick(r, locals...) + "@" + pick(r, domains[5:9]...)}
	switch r.IntN(20) {
	case 0:
		e.from = ""
	case 1:
		e.from = "ann%b.a.test@" + pick(r, domains...)
	case 2:
		e.to = pick(r, "ann%other.test@example.test", "ann@other.test", "b!ann@example.test")
	case 3:
		e.from = "ann@[192.0.2.1]"
	}
	return e
}

// limitation names what the replay does not model of an envelope; "" = nothing.
func limitation(e envelope) string {
	for _, address := range []string{e.from, e.to} {
		local := address[:max(0, strings.LastIndexByte(address, '@'))]
		if strings.ContainsAny(local, "%!") {
			return "Postfix rewrites user%domain and site!user before it looks up (allow_percent_hack, swap_bangpath)"
		}
	}
	return ""
}

// accessMap is a generated map: every refusal says its own line.
func accessMap(r *rand.Rand, name string, keys []string, actions ...string) string {
	var text strings.Builder
	for i, key := range keys {
		action := pick(r, actions...)
		if action != "OK" && action != "DUNNO" {
			action += fmt.Sprintf(" at %s:%d", name, i+1)
		}
		fmt.Fprintf(&text, "%s %s\n", key, action)
	}
	return text.String()
}

// some takes about half of the keys that an address map can have.
func some(r *rand.Rand, domains []string) (keys []string) {
	seen := map[string]bool{}
	add := func(key string) {
		if key = strings.ToLower(key); !seen[key] && !strings.Contains(key, " ") && r.IntN(2) == 0 {
			seen[key] = true
			keys = append(keys, key)
		}
	}
	for range 8 {
		add(pick(r, locals...) + "@" + pick(r, domains...))
	}
	for _, d := range domains {
		add(d)
		add("." + d)
	}
	add(pick(r, locals...) + "@")
	add("<>")
	return keys
}

// writeSite writes generated maps and gives the lines of main.cf that ask them.
func writeSite(t *testing.T, r *rand.Rand, etc string) []string {
	t.Helper()
	all := []string{"REJECT", "550 5.7.1", "450 4.7.1", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "OK", "DUNNO", "DUNNO", "HOLD", "DISCARD"}
	maps := map[string]string{
		"clients":  accessMap(r, "clients", []string{"203.0.113.10", "203.0.113", "198.51", "127.0.0.1"}[:1+r.IntN(4)], "REJECT", "OK", "DUNNO", "DUNNO"),
		"networks": accessMap(r, "networks", []string{"203.0.113.0/26", "203.0.113.0/24", "127.0.0.0/8"}[:1+r.IntN(3)], "DUNNO", "DUNNO", "OK", "REJECT"),
		"senders":  accessMap(r, "senders", some(r, domains), all...),
		"more":     accessMap(r, "more", some(r, domains), all...),
		"rcpts":    accessMap(r, "rcpts", some(r, domains[5:9]), all...),
		"patterns": accessMap(r, "patterns", []string{"/^bulk[0-9]/", `!/\.test$/`, `/^ann.*@x/i`, "|^mailer|"}, "REJECT", "HOLD", "450 4.7.1", "DUNNO"),
	}
	for name, text := range maps {
		must(t, os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644))
	}
	types, err := os.ReadFile("/etc/postfix/dynamicmaps.cf") // where lmdb comes from
	must(t, err)
	must(t, os.WriteFile(filepath.Join(etc, "dynamicmaps.cf"), types, 0o644))
	must(t, os.WriteFile(filepath.Join(etc, "main.cf"), nil, 0o644)) // postmap wants one
	table := func(name string) string { return pick(r, "texthash:", "hash:", "lmdb:") + filepath.Join(etc, name) }
	built := map[string]bool{}
	ask := func(verb, name string) string {
		where := table(name)
		if !strings.HasPrefix(where, "texthash:") && !built[where] {
			built[where] = true
			command(t, "postmap", "-c", etc, where)
		}
		return verb + " " + where
	}
	warn := pick(r, "", "", "warn_if_reject ")
	return []string{
		"mydestination = example.test", "local_recipient_maps =", "virtual_mailbox_domains =", "relay_domains = relay.test", "relay_recipient_maps =",
		"smtpd_reject_unlisted_recipient = no", "transport_maps =", "header_checks =", "smtpd_hard_error_limit = 1000000", "smtpd_junk_command_limit = 1000000",
		"smtpd_soft_error_limit = 1000000", "smtpd_client_message_rate_limit = 0",
		"recipient_delimiter = " + pick(r, "", "+", "+-"),
		"parent_domain_matches_subdomains = " + pick(r, "", "smtpd_access_maps", "smtpd_access_maps, relay_domains", "relay_domains"),
		"smtpd_relay_before_recipient_restrictions = " + pick(r, "yes", "no"),
		"smtpd_helo_restrictions =",
		"smtpd_client_restrictions = " + ask("check_client_access", "clients") + ", check_client_access cidr:" + filepath.Join(etc, "networks"),
		"smtpd_sender_restrictions = " + ask("check_sender_access", "senders") + ", " + warn + "check_sender_access regexp:" + filepath.Join(etc, "patterns"),
		"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
		"smtpd_recipient_restrictions = " + ask("check_recipient_access", "rcpts") + ", " + pick(r, "", "permit_auth_destination, ") + ask("check_sender_access", "more"),
	}
}

func compareWithPostfix(t *testing.T, r *rand.Rand, count int) {
	etc, err := os.MkdirTemp("", "mailwhy-maps") // t.TempDir's parent is closed to Postfix's user
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(etc) })
	must(t, os.Chmod(etc, 0o755))
	server := startPostfix(t, writeSite(t, r, etc)...)
	var out, complaint bytes.Buffer
	if status := run(t.Context(), []string{"policy", "import", "postfix", "--config-dir", filepath.Join(server.dir, "etc")}, strings.NewReader(""), &out, &complaint); status != exitFound {
		t.Fatalf("import: %s", complaint.String())
	}
	set, err := engine.Load("import", out.Bytes())
	must(t, err)
	list := make([]envelope, count)
	for i := range list {
		list[i] = generate(r)
	}
	answers := server.answers(t, list)
	limits, deciders := map[string]int{}, map[string]int{}
	for i, e := range list {
		m := mail.Message{EnvelopeFrom: mail.Path(e.from), Recipient: mail.Path(e.to), Client: mail.Client{IP: e.client}}
		if e.from == "" {
			m.EnvelopeFrom = mail.NullPath
		}
		v := engine.Decide(set, &m, time.Now())
		said, got := answers[i], "undetermined"
		if v.Outcome != nil {
			got = fmt.Sprint(*v.Outcome, " by ", strings.TrimPrefix(v.Policy, etc+"/"))
		}
		switch name := limitation(e); {
		case got == said && v.Certainty == engine.Certain:
			deciders[said]++
		case name != "":
			limits[name]++
		case !t.Failed():
			t.Errorf("%+v: Postfix says %q, the replay %q (%s)\n%s", e, said, got, v.Certainty, out.String())
		}
	}
	t.Logf("%d envelopes, %d ways to be decided; limitations %v", count, len(deciders), limits)
	if len(deciders) < 5 {
		t.Errorf("the envelopes met %d lines alone: %v", len(deciders), deciders)
	}
}

var saidLine = regexp.MustCompile(`at ([a-z]+:[0-9]+)`)

// answers sends envelopes over a session for each client and gives what became
// of each in words, "rejected by senders:3". What was held or discarded only
// the log tells, by the HELO that each envelope has for its own.
func (s *mailServer) answers(t *testing.T, list []envelope) []string {
	t.Helper()
	said := make([]string, len(list))
	var running sync.WaitGroup
	for _, client := range clients {
		running.Go(func() {
			if err := s.session(client, list, said); err != nil {
				t.Errorf("session from %s: %v", client, err)
			}
		})
	}
	running.Wait()
	log, err := os.ReadFile(s.log)
	must(t, err)
	quiet := regexp.MustCompile(`NOQUEUE: (hold|discard): .*? at ([a-z]+:[0-9]+);.* helo=<e([0-9]+)\.test>`)
	for _, found := range quiet.FindAllStringSubmatch(string(log), -1) {
		var i int
		_, err := fmt.Sscan(found[3], &i)
		must(t, err)
		switch {
		case found[1] == "discard" && (said[i] == "accepted by " || strings.HasPrefix(said[i], "held")):
			said[i] = "discarded by " + found[2]
		case found[1] == "hold" && said[i] == "accepted by ":
			said[i] = "held by " + found[2]
		}
	}
	return said
}

func (s *mailServer) session(client string, list []envelope, said []string) error {
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	conn, err := dialer.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		return err
	}
	text := textproto.NewConn(conn)
	if _, _, err := text.ReadResponse(220); err != nil {
		return err
	}
	for i, e := range list {
		if e.client != client {
			continue
		}
		for _, line := range []string{fmt.Sprintf("HELO e%d.test", i), "MAIL FROM:<" + e.from + ">", "RCPT TO:<" + e.to + ">", "RSET"} {
			if err := text.PrintfLine("%s", line); err != nil {
				return err
			}
			code, reply, err := text.ReadResponse(0)
			if err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			if strings.HasPrefix(line, "RCPT") {
				said[i] = inWords(code, reply)
			} else if code != 250 {
				return fmt.Errorf("%s: %d %s", line, code, reply)
			}
		}
	}
	return nil
}

func inWords(code int, reply string) string {
	by := ""
	if at := saidLine.FindStringSubmatch(reply); at != nil {
		by = at[1]
	} else if strings.Contains(reply, "Relay access denied") {
		by = "reject_unauth_destination"
	}
	return fmt.Sprint(map[int]mail.Outcome{2: mail.Accepted, 4: mail.Deferred, 5: mail.Rejected}[code/100], " by ", by)
}
