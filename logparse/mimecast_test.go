package logparse

import (
	"fmt"
	"strings"
	"testing"

	"mailwhy/engine/mail"

	"github.com/google/go-cmp/cmp"
)

// one reads a log from which exactly one message must come.
func one(t *testing.T, log string) mail.Message {
	t.Helper()
	messages, stats := parse(Options{}, Source{ID: "0123456789abcdef", Name: "siem.log"}, []byte(log+"\n"))
	if len(messages) != 1 || stats.UnrecognisedFailing != 0 {
		t.Fatalf("%d messages and %d unrecognised lines from %s", len(messages), stats.UnrecognisedFailing, log)
	}
	return inOrder(messages)[0]
}

const mimeHead = "datetime=2026-11-22T13:44:46+0200|aCode=code|acc=C0A0|Dir=Inbound|Sender=alice@acme.example|Rcpt=bob@corp.example|IP=203.0.113.10|"

// TestMimecastOutcome has one row for each way in which an event says that a
// message failed. Code decides, then the log's word.
func TestMimecastOutcome(t *testing.T) {
	type result struct {
		Outcome  mail.Outcome
		Phase    mail.Phase
		Code     int
		Enhanced string
	}
	tests := []struct {
		event string
		want  result
	}{
		{"Act=Rej|RejType=Envelope Rejected|RejCode=550|RejInfo=Administrative prohibition - envelope blocked", result{mail.Rejected, mail.PhaseRcpt, 550, ""}},
		{"Act=Rej|RejType=Connection Attempt|Error=Attempt Greylisted|RejCode=451|RejInfo=Internal resource temporarily unavailable", result{mail.Deferred, mail.PhaseRcpt, 451, ""}},
		{"Act=Rej|RejType=Connection Attempt|Error=Attempt Greylisted", result{mail.Deferred, mail.PhaseRcpt, 0, ""}},
		{"Act=Rej|RejType=Connection Attempt|RejInfo=Remote server timeout", result{mail.Rejected, mail.PhaseRcpt, 0, ""}},
		{"Act=Rej|RejType=Connection Attempt|RejInfo=Remote server timeout|MsgId=<a@b>", result{mail.Rejected, mail.PhaseData, 0, ""}},
		{"Act=Rej|RejType=Sender Failed to Retry", result{mail.Rejected, mail.PhaseRcpt, 0, ""}},
		{"Act=Rej|RejType=Header Rejected|RejCode=0|RejInfo=Rejected by header based Blocked Senders: a@b.example", result{mail.Rejected, mail.PhaseData, 0, ""}},
		{"Act=Rej|RejType=Envelope Rejected|RejCode=|RejInfo=550 5.7.1 no", result{mail.Rejected, mail.PhaseRcpt, 550, "5.7.1"}},
		{"Act=Rej|RejType=Virus Signature Detection|RejCode=554|RejInfo=Email rejected due to security policies", result{mail.Rejected, mail.PhaseEndOfData, 554, ""}},
		{"Act=Rej|RejType=Connection Attempt|RejCode=421|RejInfo=Sender address blocked", result{mail.Deferred, mail.PhaseConnect, 421, ""}},
		{"RejType=Envelope Rejected|RejCode=550|RejInfo=x", result{mail.Rejected, mail.PhaseRcpt, 550, ""}},
		{"Act=Hld|Hld=Spm|MsgSize=10", result{mail.Held, mail.PhaseQueue, 0, ""}},
		{"Act=Bnc|AttCnt=0|MsgSize=10|Hld=", result{mail.Bounced, mail.PhaseQueue, 0, ""}},
		{"Action=Hold|TaggedMalicious=false", result{mail.Held, mail.PhaseQueue, 0, ""}},
		{"Delivered=false|RejType=a|RejCode=550|RejInfo=5.4.1 Recipient address rejected", result{mail.Bounced, mail.PhaseDelivery, 550, "5.4.1"}},
		{"Delivered=false|RejType=a|RejCode=452|RejInfo=4.2.2 Mailbox full", result{mail.Deferred, mail.PhaseDelivery, 452, "4.2.2"}},
		{"Delivered=false|Err=Connection timed out|Attempt=3", result{mail.Deferred, mail.PhaseDelivery, 0, ""}},
		{"Delivered=false|Err=Message expired: retry limit reached|Attempt=30", result{mail.Expired, mail.PhaseDelivery, 0, ""}},
		{"Delivered=false|RejInfo=550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP", result{mail.Bounced, mail.PhaseDelivery, 550, "5.7.708"}},
	}
	for _, test := range tests {
		m := one(t, mimeHead+test.event)
		if d := cmp.Diff(test.want, result{m.Outcome, m.Phase, m.Reply.Code, m.Reply.Enhanced}); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.event, d)
		}
		if (m.Phase == mail.PhaseDelivery) != (m.Remote.IP != "") || (m.Phase == mail.PhaseDelivery) != (m.Client.IP == "") {
			t.Errorf("%s: client %q, remote %q: IP is the next hop's in a delivery only", test.event, m.Client.IP, m.Remote.IP)
		}
	}
}

// TestMimecastNoFailure has the events that speak of no failure of a message.
func TestMimecastNoFailure(t *testing.T) {
	for _, event := range []string{
		"Act=Acc", "Act=Acc|RejType=|RejCode=0", "Act=Sdbx|MsgSize=10|AttNames=", "Delivered=true", "RcptActType=Jnl|RcptHdrType=Unknown",
		"Action=none|TaggedMalicious=false", "action=block|url=http://rejected.example|urlCategory=Blocked", "Virus=x|fileExt=exe|Subject=rejected",
	} {
		messages, stats := parse(Options{}, Source{ID: "s", Name: "siem.log"}, []byte(mimeHead+event+"\n"))
		if len(messages) != 0 || stats.UnrecognisedFailing != 0 || stats.Format != mimecastV1 {
			t.Errorf("%s: %d messages, %d unrecognised, format %q", event, len(messages), stats.UnrecognisedFailing, stats.Format)
		}
	}
	_, stats := parse(Options{}, Source{ID: "s", Name: "siem.log"}, []byte(mimeHead+"Act=Xyz|Note=rejected\n"))
	if stats.UnrecognisedFailing != 1 {
		t.Errorf("an unknown action that looks like a failure was not counted")
	}
}

func TestMimecastPipe(t *testing.T) {
	tests := []struct {
		line, subject, recipient string
	}{
		{`Subject=a|Rcpt=b@c`, `a`, `b@c`},
		{`Subject=a | b|Rcpt=b@c`, `a | b`, `b@c`},
		{`Subject=a \| b|Rcpt=b@c`, `a \| b`, `b@c`},
		{`Subject=\a b\|Rcpt=b@c`, `\a b\`, `b@c`},
		{`Subject=|Rcpt=b@c`, ``, `b@c`},
		{`Subject=a=b|Rcpt=b@c`, `a=b`, `b@c`},
		{`Subject=a|Rcpt=b@c|`, `a`, `b@c`},
		{`Subject=a|Rcpt=b@c|Rej`, `a`, `b@c`},
		{`Subject=a|Rcpt=b@c|New=x|Rcpt`, `a`, `b@c`},
		{`Rcpt=b@c|Subject=x|Rcpt=eve@evil.example`, `x`, `b@c`},
		{`Subject=x|Rcpt=eve@evil.example|Rcpt=b@c`, `x`, `b@c`},
	}
	for _, test := range tests {
		var e mimeEvent
		readPipe([]byte(test.line), &e)
		if e.text(mimeSubject) != test.subject || e.text(mimeRcpt) != test.recipient {
			t.Errorf("%s: subject %q, recipient %q", test.line, e.text(mimeSubject), e.text(mimeRcpt))
		}
	}
}

func TestMimecastAuth(t *testing.T) {
	tests := []struct {
		detail string
		want   mail.Auth
	}{
		{``, mail.Auth{}},
		{`null`, mail.Auth{}},
		{`{"spf":{"info":"SPF_FAIL","allow":true},"dkim":{"info":"DKIM_UNKNOWN","allow":true}}`, mail.Auth{SPF: "fail"}},
		{`{"spf":{"allow":true,"info":"ALLOW"},"dkim":{"allow":true,"info":"ALLOW"},"dmarc":{"allow":true,"info":"ALLOW"}}`, mail.Auth{SPF: "pass", DKIM: "pass", DMARC: "pass"}},
		{`"{\"spf\":{\"allow\":false,\"info\":\"SOFTFAIL\"}}"`, mail.Auth{SPF: "softfail"}},
		{`"\"{\\\"spf\\\":{\\\"allow\\\":true,\\\"info\\\":\\\"NEUTRAL\\\"}}\""`, mail.Auth{SPF: "neutral"}},
		{`{"dkim":{"info":"NONE"},"dmarc":{"allow":false,"info":""}}`, mail.Auth{DKIM: "none", DMARC: "fail"}},
		{`{"spf":{"info":"PERM_ERROR"},"dmarc":{"info":"QUARANTINE"},"dkim":{"info":"TEMPERROR"}}`, mail.Auth{SPF: "permerror", DKIM: "temperror", DMARC: "fail"}},
		{`{"spf":{"info":"SPF_FA`, mail.Auth{}},
	}
	for _, test := range tests {
		if d := cmp.Diff(test.want, mimeAuth([]byte(test.detail))); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.detail, d)
		}
	}
}

func TestMimecastAddresses(t *testing.T) {
	for in, want := range map[string][2]string{
		"a@b.example":                           {"a@b.example", ""},
		"<a@b.example>":                         {"a@b.example", ""},
		"Ann Lee <a@b.example>":                 {"a@b.example", "Ann Lee"},
		`"Lee, Ann" <a@b.example>`:              {"a@b.example", "Lee, Ann"},
		`"ceo@corp.example" <eve@evil.example>`: {"eve@evil.example", "ceo@corp.example"},
		"":                                      {"", ""},
	} {
		if path, name := mimeHeaderAddress(in); string(path) != want[0] || name != want[1] {
			t.Errorf("header from %q is %q named %q, want %q", in, path, name, want)
		}
	}
	for in, want := range map[string][]mail.Path{
		"":                               nil,
		"a@b.example":                    {"a@b.example"},
		"<a@b.example>":                  {"a@b.example"},
		"a@b.example, c@d.example;e@f.g": {"a@b.example", "c@d.example", "e@f.g"},
		`"a,b"@c.example`:                {`"a,b"@c.example`},
		`["a@b.example", "c@d.example"]`: {"a@b.example", "c@d.example"},
	} {
		if d := cmp.Diff(want, mimeRecipients([]byte(in))); d != "" {
			t.Errorf("recipients %q (-want +got):\n%s", in, d)
		}
	}
}

// TestMimecastSender: only "<>" is the null path; nothing is not logged.
func TestMimecastSender(t *testing.T) {
	for sender, want := range map[string]mail.Path{"": "", "<>": mail.NullPath, "a@b.example": "a@b.example", "<a@b.example>": "a@b.example"} {
		m := one(t, "datetime=2026-11-22T13:44:46+0200|aCode=c|Act=Rej|RejCode=550|Rcpt=bob@corp.example|Sender="+sender)
		if m.EnvelopeFrom != want {
			t.Errorf("Sender=%s is %q, want %q", sender, m.EnvelopeFrom, want)
		}
	}
	m := one(t, `{"aggregateId":"x","timestamp":1749802453769,"type":"receipt","action":"Rej","senderEnvelope":null,"recipients":"bob@corp.example","rejectionCode":"550"}`)
	if m.EnvelopeFrom.Known() || m.Time.UnixMilli() != 1749802453769 {
		t.Errorf("null sender is %q at %v", m.EnvelopeFrom, m.Time)
	}
}

// TestMimecastAll asks for every message: those let in, those handed on.
func TestMimecastAll(t *testing.T) {
	log := mimeHead + "Act=Acc\n" + strings.Replace(mimeHead, "bob@", "sue@", 1) + "Act=Acc\n" + mimeHead + "Delivered=true\n"
	messages, _ := parse(Options{All: true}, Source{ID: "s", Name: "siem.log"}, []byte(log))
	got := map[mail.Path]mail.Outcome{}
	for _, m := range messages {
		got[m.Recipient] = m.Outcome
	}
	if d := cmp.Diff(map[mail.Path]mail.Outcome{"bob@corp.example": mail.Delivered, "sue@corp.example": mail.Accepted}, got); d != "" {
		t.Error(d)
	}
}

// TestMimecastForgets reads many more messages than may be open: those that
// came to an end are not held.
func TestMimecastForgets(t *testing.T) {
	p := NewParser(Options{})
	s := p.Open(Source{ID: "s", Name: "siem.log"})
	for i := range 2000 {
		head := strings.Replace(mimeHead, "aCode=code", fmt.Sprintf("aCode=code%d", i), 1)
		tail := []string{"Act=Rej|RejCode=550", "Act=Rej|RejCode=451", "Act=Acc\n" + head + "Hld=|MsgSize=1|Act=Acc\n" + head + "Delivered=true"}[i%3]
		s.Feed(0, []byte(head+tail+"\n"), false)
	}
	if p.open.open.n != 0 || p.open.finished.n > maxFinished {
		t.Errorf("%d open and %d finished", p.open.open.n, p.open.finished.n)
	}
}

// TestMimecastWrapped reads an answer of the API as it came: the events in a
// list, all on one line.
func TestMimecastWrapped(t *testing.T) {
	event := `{"aggregateId":"x%d","timestamp":1795341600000,"type":"receipt","action":"Rej","recipients":"bob@corp.example","rejectionCode":"550","receiptErrors":"[]"}`
	log := `{"value":[` + fmt.Sprintf(event, 1) + ", " + fmt.Sprintf(event, 2) + `],"@nextPage":"n","isCaughtUp":true}` + "\n"
	messages, stats := parse(Options{}, Source{ID: "s", Name: "siem.json"}, []byte(log))
	if len(messages) != 2 || stats.Format != mimecastV2 {
		t.Fatalf("%d messages of %s, want 2", len(messages), stats.Format)
	}
	for _, m := range messages {
		if m.Reported.Rule != "" || m.Evidence[0].Offset != 0 {
			t.Errorf("rule %q, evidence at %d", m.Reported.Rule, m.Evidence[0].Offset)
		}
	}
}

// TestMimecastSameIDLater: masked logs repeat their ids; months apart they are
// two messages, and so are two retries within days one.
func TestMimecastSameIDLater(t *testing.T) {
	event := strings.Replace(mimeHead, "2026-11-22", "2026-%s", 1) + "Act=Rej|RejCode=550\n"
	for _, test := range []struct {
		days []string
		want int
	}{
		{[]string{"11-22", "08-22"}, 2},
		{[]string{"08-22", "11-22"}, 2},
		{[]string{"11-20", "11-22"}, 1},
	} {
		var log strings.Builder
		for _, day := range test.days {
			fmt.Fprintf(&log, event, day)
		}
		messages, _ := parse(Options{}, Source{ID: "s", Name: "siem.log"}, []byte(log.String()))
		if len(messages) != test.want {
			t.Errorf("on %v: %d messages, want %d", test.days, len(messages), test.want)
		}
	}
}

// TestMimecastMaskedIDs reads logs that no gateway writes: one id for all, a
// thousand recipients on a line. Each recipient is found, in reasonable time.
func TestMimecastMaskedIDs(t *testing.T) {
	var log, list strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&log, "datetime=2026-11-22T13:44:46+0200|aCode=masked|Sender=a@b.example|Rcpt=user%d@corp.example|Act=Rej|RejCode=550\n", i)
	}
	for i := range maxListed {
		fmt.Fprintf(&list, "user%d@corp.example,", i)
	}
	fmt.Fprintf(&log, "datetime=2026-11-22T13:44:46+0200|aCode=list|Sender=a@b.example|Act=Rej|RejCode=550|Rcpt=%s\n", list.String())
	messages, _ := parse(Options{}, Source{ID: "s", Name: "siem.log"}, []byte(log.String()))
	if len(messages) != 5000+maxListed {
		t.Errorf("%d messages, want %d", len(messages), 5000+maxListed)
	}
}
