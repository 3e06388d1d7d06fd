package reply

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// TestExplain: text, reply code, enhanced code, layer, side, and words the
// meaning or cause must hold.
func TestExplain(t *testing.T) {
	f := func(text string, code int, enhanced, layer, side, words string) {
		t.Helper()
		e := Explain(text)
		if e.Code != code || e.Enhanced != enhanced || e.Layer != layer || e.Side != side || !strings.Contains(e.Meaning+" "+e.Cause, words) {
			t.Errorf("%.90q\n got %d %q layer %q side %q: %s (%s)\nwant %d %q layer %q side %q: ...%s...",
				text, e.Code, e.Enhanced, e.Layer, e.Side, e.Meaning, e.Cause, code, enhanced, layer, side, words)
		}
		if !e.Known || len(e.Source) == 0 {
			t.Errorf("%.90q: known %v, source %q", text, e.Known, e.Source)
		}
	}

	// The gateway's own table, code by code.
	f("421 Sender address blocked", 421, "", "connection", Us, "client's address")
	f("421 Unable to process connection at this time", 421, "", "connection", Us, "full load")
	f("451 Unable to process connection at this time", 451, "", "connection", Us, "full load")
	f("451 Recipient temporarily unavailable", 451, "", "recipient", Us, "could not check the recipient")
	f("451 IP temporarily blacklisted", 451, "", "rate", Them, "limit")
	f("451 Internal resource temporarily unavailable", 451, "", "greylisting", Us, "greylisting")
	f("451 Internal resources are temporarily unavailable - [0123456789abcdefABCDEF.uk12]", 451, "", "greylisting", Us, "come back")
	f("451 Open relay not allowed", 451, "", "blocked_senders", Us, "both outside")
	f("451 Account inbounds disabled", 451, "", "account", Us, "no inbound")
	f("451 Account outbounds disabled", 451, "", "account", Us, "no outbound")
	f("451 Hostname is not authorized", 451, "", "account", Us, "omni-directional")
	f("451 Message ended early", 451, "", "network", Them, "cut")
	f("451 Unable to process command", 451, "", "protocol", Us, "command")
	f("451 Unable to process an email at this time", 451, "", "protocol", Us, "message now")
	f("451 Account service is temporarily unavailable", 451, "", "rate", Them, "connections at once")
	f("452 Too many recipients", 452, "", "protocol", Them, "more recipients")
	f("501 Invalid address", 501, "", "recipient", Them, "no valid SMTP address")
	f("503 User unknown", 503, "", "protocol", Them, "wrong order")
	f("535 Incorrect authentication data", 535, "", "authentication", Them, "password")
	f("550 submitter failed to authenticate", 550, "", "authentication", Them, "could not sign in")
	f("550 Submitter failed to disabled", 550, "", "authentication", Them, "could not sign in")
	f("550 SPF Sender Invalid - envelope rejected", 550, "", "dns_authentication", DNS, "SPF failed")
	f("550 DKIM Sender Invalid – envelope rejected", 550, "", "dns_authentication", DNS, "DKIM signature")
	f("550 DMARC Sender Invalid - envelope rejected", 550, "", "dns_authentication", DNS, "DMARC")
	f("550 Local CT IP Reputation - (reject)", 550, "", "reputation", Them, "poor reputation")
	f("550 Journal message past expiration", 550, "", "journal", Us, "too old")
	f("550 Anti-Spoofing policy - Inbound not allowed", 550, "", "anti_spoofing", Us, "envelope sender")
	f("550 Anti‑Spoofing policy — Inbound not allowed", 550, "", "anti_spoofing", Us, "envelope sender")
	f("550 Rejected by header based Anti-Spoofing policy: ceo@corp.example", 550, "", "anti_spoofing", Us, "From header")
	f("550 Message bounced due to Content Examination policy", 550, "", "content", Us, "Content Examination")
	f("550 Administrative prohibition - envelope blocked", 550, "", "blocked_senders", Us, "SPF hard failure")
	f("550 Envelope blocked - User Entry", 550, "", "managed_senders", Us, "this sender's address")
	f("550 Envelope blocked - User Domain Entry", 550, "", "managed_senders", Us, "whole domain")
	f("550 Rejected by header based manually Blocked Senders - block for manual block", 550, "", "managed_senders", Us, "From header")
	f("550 Rejected by header based manually Blocked Senders: a@b.example", 550, "", "managed_senders", Us, "From header")
	f("550 Rejected by header based Blocked Senders - block policy for Header From", 550, "", "blocked_senders", Us, "From header")
	f("550 Rejected by header based Blocked Senders: a@b.example", 550, "", "blocked_senders", Us, "From header")
	f("550 Envelope rejected - block policy for envelope from address", 550, "", "blocked_senders", Us, "envelope sender")
	f("550 Exceeding outbound thread limit", 550, "", "rate", Us, "outbound connections")
	f("550 Invalid Recipient", 550, "", "recipient", Them, "does not know the recipient")
	f("553 This route requires encryption (TLS)", 553, "", "tls", Them, "encrypted connection")
	f("553 This route requires TLS version 1.2 or greater", 553, "", "tls", Them, "too old")
	f("553 This route requires high-strength ciphers", 553, "", "tls", Them, "ciphers")
	f("554 Configuration is invalid for this certificate", 554, "", "tls", DNS, "certificate")
	f("554 Host network not allowed", 554, "", "connection", Us, "country or network")
	f("554 Maximum email size exceeded", 554, "", "size", Them, "larger")
	f("554 Mail loop detected", 554, "", "delivery", Us, "circles")
	f("554 Email rejected due to security policies", 554, "", "virus", Them, "virus signature")

	// Rejection types, which come without a code.
	f("Policy level block list in force", 0, "", "blocked_senders", Us, "Blocked Senders policy")
	f("Manual Envelope Rejection", 0, "", "managed_senders", Us, "envelope sender")
	f("Manual Header Rejection", 0, "", "managed_senders", Us, "From header")
	f("Envelope blocked – User Entry", 0, "", "managed_senders", Us, "own Managed Senders")
	f("Anti-Spoofing Header Lockout", 0, "", "anti_spoofing", Us, "From header")
	f("Virus Signature Detection", 0, "", "virus", Them, "virus")
	f("Malicious QRCode Detection", 0, "", "virus", Them, "QR code")
	f("Sender Failed to Retry", 0, "", "greylisting", Them, "12 hours")

	// The article's codes.
	f("550 Administrative prohibition", 550, "", "blocked_senders", Us, "two outside addresses")
	f("550 5.0.350", 550, "5.0.350", "delivery", NextHop, "anti-spoofing")
	f("550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP", 550, "5.7.708", "delivery", Them, "not a daily limit - tenant limits are 5.7.705")
	f("550 5.7.705 Access denied, tenant has exceeded threshold", 550, "5.7.705", "rate", Them, "tenant sent too much")
	f("550 5.1.8 Access denied, bad outbound sender", 550, "5.1.8", "rate", Them, "no longer send")
	f("550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients", 550, "5.1.90", "rate", Them, "recipient limit of the day")
	f("535: Incorrect authentication data", 535, "", "authentication", Them, "password")
	f("Hard bounce", 0, "", "delivery", Unknown, "never will be")

	// Other servers.
	f("554 5.7.1 Service unavailable; Client host [198.51.100.66] blocked using zen.rbl.test; https://rbl.test/query/ip/198.51.100.66", 554, "5.7.1", "reputation", Them, "block list")
	f("450 4.2.0 <a@b.test>: Recipient address rejected: Greylisted for 3 seconds, see https://postgrey.schweikert.ch/help/b.test.html", 450, "4.2.0", "greylisting", Us, "greylisting")
	f("554 5.7.1 <x@external.test>: Relay access denied", 554, "5.7.1", "delivery", Us, "does not pass mail on")
	f("550 5.1.1 <nobody@example.test>: Recipient address rejected: User unknown in virtual mailbox table", 550, "5.1.1", "recipient", Them, "does not exist")
	f("504 5.5.2 <localpc>: Helo command rejected: need fully-qualified hostname", 504, "5.5.2", "protocol", Them, "lacks its domain")
	f("550 5.4.1 Recipient address rejected: Access denied. [X.mail.protection.outlook.com]", 550, "5.4.1", "recipient", NextHop, "edge")
	f("554 5.7.1 <x@y.test>: Recipient address rejected: Access denied", 554, "5.7.1", "blocked_senders", Us, "access list")
	f("550 5.7.23 The message was rejected because of Sender Policy Framework violation", 550, "5.7.23", "dns_authentication", DNS, "SPF failed")
	f("550-5.7.26 This mail is unauthenticated, which poses a security risk", 550, "5.7.26", "dns_authentication", DNS, "authenticated")
	f("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1", 421, "4.7.0", "rate", Them, "Yahoo")
	f("554 5.7.1 Spam message rejected", 554, "5.7.1", "spam", Them, "spam")
	f("550 5.2.2 <u@b.test>: user is over quota", 550, "5.2.2", "recipient", NextHop, "full")
	f("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", 450, "4.7.25", "dns_authentication", DNS, "reverse name")

	f("550 5.1.0 <x@y.test>: Sender address rejected: User unknown in virtual mailbox table", 550, "5.1.0", "dns_authentication", Them, "forged sender")
	f("550-Rejected because 192.0.2.1 is in a black list at zen.spamhaus.org", 550, "", "reputation", Them, "block list")
	f("553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", 553, "5.7.1", "delivery", Us, "does not pass mail on")
	f("451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", 451, "4.7.650", "rate", Them, "Outlook.com limits")
	f("550 5.7.1 messages from [192.0.2.1] weren't sent since part of their network is on our block list (S3150)", 550, "5.7.1", "reputation", Them, "Outlook.com blocks")
	f("450 4.7.320 Certificate validation failed", 450, "4.7.320", "tls", NextHop, "DANE")
	f("571 5.7.1 Mail rejected", 571, "5.7.1", "", Us, "policy")
	f("550 Previous (cached) callout verification failure", 550, "", "dns_authentication", Them, "takes no mail")

	// Codes alone.
	f("535", 535, "", "authentication", Them, "password")
	f("451", 451, "", "", Us, "greylisting")
	f("550", 550, "", "", Us, "no such mailbox")
	f("5.1.1", 0, "5.1.1", "recipient", Them, "does not exist")
	f("550 5.7.29 something new", 550, "5.7.29", "dns_authentication", Them, "ARC")
	f("(#4.4.5)", 0, "4.4.5", "delivery", Us, "congested")
}

func TestExplainUnknown(t *testing.T) {
	f := func(text string, code int, words string) {
		t.Helper()
		e := Explain(text)
		if e.Known || e.Code != code || !strings.Contains(e.Meaning, words) {
			t.Errorf("%q: %+v", text, e)
		}
	}
	f("", 0, "no reply")
	f("hello world", 0, "no reply")
	f("451 blub", 451, "not now")
	f("559 blub", 559, "refused for good")
	f("599 blub", 0, "no reply") // no reply code has this second digit
	f("550 blub", 550, "refused for good")
	f("please call me at 555 1234", 0, "no reply")
}

func TestInnermost(t *testing.T) {
	f := func(text string, code int, enhanced, want string) {
		t.Helper()
		e := Explain(text)
		if e.Code != code || e.Enhanced != enhanced || e.Text != want {
			t.Errorf("%.120q\n got %d %q %q\nwant %d %q %q", text, e.Code, e.Enhanced, e.Text, code, enhanced, want)
		}
	}
	f("550 5.0.350 Remote server returned an error -> 550 5.7.1 Anti-Spoofing policy - Inbound not allowed", 550, "5.7.1", "Anti-Spoofing policy - Inbound not allowed")
	f("Remote Server returned '550 5.7.1 ... it said \"554 no\"'", 550, "5.7.1", "... it said \"554 no")
	f("Remote Server returned '<mx.b.test #5.1.1 smtp;550 5.1.1 <bob@b.test>: no such user>'", 550, "5.1.1", "<bob@b.test>: no such user>")
	f("status=bounced (host 127.0.0.1[127.0.0.1] said: 450 4.2.2 Mailbox full, try again later (in reply to RCPT TO command))", 450, "4.2.2", "Mailbox full, try again later")
	f("NOQUEUE: reject: RCPT from mail.vendor.test[203.0.113.10]: 554 5.7.1 <s@e.test>: Relay access denied; from=<a@v.test> to=<s@e.test> proto=ESMTP", 554, "5.7.1", "<s@e.test>: Relay access denied")
	f("** bob@b.test R=dnslookup T=remote_smtp: SMTP error from remote mail server after RCPT TO:<bob@b.test>: host mx.b.test [192.0.2.1]: 550 Unknown user", 550, "", "Unknown user")
	f("550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n550-5.1.1 double-checking it\r\n550 5.1.1 https://support.google.com/mail/?p=NoSuchUser x - gsmtp\r\n",
		550, "5.1.1", "The email account that you tried to reach does not exist. Please try double-checking it https://support.google.com/mail/?p=NoSuchUser x - gsmtp")
	f(`host mx.b.test [192.0.2.1]: 550-Your message was refused\n550-for a reason\n550 of ours`, 550, "", "Your message was refused for a reason of ours")
	f("dsn=4.4.1, status=deferred (connect to 127.0.0.1[127.0.0.1]:2699: Connection refused)", 0, "4.4.1", "connect to 127.0.0.1[127.0.0.1]:2699: Connection refused")
	f("rejected RCPT <p@e.test>: Greylisted, please try again in 450 seconds", 0, "", "Greylisted, please try again in 450 seconds")
	f("550 #5.1.0 Address rejected.", 550, "5.1.0", "Address rejected.")
	f("550 sorry, no mailbox here by that name (#5.1.1)", 550, "5.1.1", "sorry, no mailbox here by that name (#5.1.1)")
	f("aCode=x|RejType=\"Invalid Recipient Address\"|RejCode=550|RejInfo=\"Invalid Recipient\"", 550, "", "Invalid Recipient")
	f(`{"rejectionCode":"550","rejectionInfo":"5.4.1 Recipient address rejected: Access denied","rejectionType":"Recipient email address is possibly incorrect"}`,
		550, "5.4.1", "Recipient address rejected: Access denied")
}

func TestToken(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := Explain(text).Token; got != want {
			t.Errorf("%q: token %q, want %q", text, got, want)
		}
	}
	f("550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550 [Aj3QxYzVMROn8k2xKv7hJw.us32]", "Aj3QxYzVMROn8k2xKv7hJw.us32")
	f("550 Invalid Recipient [a_b-cdefghijklmnop12.uk1]", "a_b-cdefghijklmnop12.uk1")
	f("550 5.4.1 denied [AM0EUR02FT012.eop-EUR02.prod.protection.outlook.com]", "")
	f("550 no [192.0.2.1]", "")
	f("550 no [mailgateway12345.de1", "")
	f("550 no [mailgateway12345.com]", "")
}

// TestKnowledge keeps the data files complete.
func TestKnowledge(t *testing.T) {
	b, err := Load(os.DirFS("knowledge"))
	if err != nil {
		t.Fatal(err)
	}
	layers := []string{"connection", "anti_spoofing", "blocked_senders", "managed_senders", "permitted_senders", "recipient", "reputation", "greylisting",
		"dns_authentication", "virus", "spam", "content", "impersonation", "attachment", "delivery",
		"account", "authentication", "capacity", "journal", "network", "protocol", "rate", "size", "tls"}
	seen := map[string]string{}
	for _, r := range b.rows {
		name := strings.Join(append(slices.Clone(r.Enhanced), r.Texts...), " | ")
		if !slices.Contains([]string{Us, Them, NextHop, DNS, Unknown}, r.Side) {
			t.Errorf("%s: side %q", name, r.Side)
		}
		if r.Layer != "" && !slices.Contains(layers, r.Layer) {
			t.Errorf("%s: layer %q", name, r.Layer)
		}
		if len(r.Steps) == 0 {
			t.Errorf("%s: nothing to do", name)
		}
		for _, e := range r.Enhanced {
			if other := seen[e]; other != "" {
				t.Errorf("%s stands in two rows: %s, %s", e, other, name)
			}
			seen[e] = name
		}
	}
	if len(b.status) < 70 {
		t.Errorf("%d enhanced codes, want the whole registry", len(b.status))
	}
	if _, err := Load(os.DirFS("testdata/bad")); err == nil || !strings.Contains(err.Error(), "rows.yaml") {
		t.Errorf("a row without a meaning: %v", err)
	}
}

// Hostile text costs no more than its length: the longest text of any pattern
// is explained in far less than a second.
func TestExplainBounded(t *testing.T) {
	for _, unit := range []string{
		"<p ", "<p>", "[", "[a", ")", "(", "550 ", "550-", "'550 5.1.1 ", "550 5.1.1 a\n", " a\n", "\n", " ", "5.1.1 ", "|", "a=b|", "{", `{"a":`, "@ ", "virus ",
		"Diagnostic-Code: x; 550\n", "Diagnostic-Code: x;\n ", "status=x (", "rejected RCPT ", "Content-Type: multipart/mixed; boundary=a\n\n--a\n", "--a\n", "&lt;</",
		"remote server returned ", "\xff", "–", "[aaaaaaaaaaaaaaaaaaaaaaaa.us", "status: 5.1.1\nfinal-recipient: x\n\n",
	} {
		start := time.Now()
		Explain(strings.Repeat(unit, 1+longestInput/len(unit)))
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%q takes %v", unit, took)
		}
	}
}

func FuzzExplain(f *testing.F) {
	for _, s := range []string{
		"550 5.7.1 no", "550-5.1.1 a\n550 5.1.1 b", "Remote Server returned '550 5.1.10 x'", "Diagnostic-Code: smtp; 550\n 5.1.1 x\nStatus: 5.1.1",
		"dsn=4.4.1, status=deferred (x)", "<p>550 <b>no</b></p>", "RejCode=550|RejInfo=x", `{"rejectionInfo":"550 x"}`, "[aaaaaaaaaaaaaaaaaaaa.us1]", "550 no [aaaaaaaaaa\x00aaaaaaaaaa.us1]",
		"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\nStatus: 5.1.1\n--x--\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e := Explain(text)
		if e.Meaning == "" || e.Side == "" {
			t.Errorf("no answer: %+v", e)
		}
		if e.Code != 0 && (e.Code < 200 || e.Code > 599) {
			t.Errorf("code %d", e.Code)
		}
		if utf8.RuneCountInString(e.Text) > longestReply || !utf8.ValidString(e.Text) {
			t.Errorf("text of %d bytes, valid %v", len(e.Text), utf8.ValidString(e.Text))
		}
		if strings.ContainsFunc(e.Text, unicode.IsControl) {
			t.Errorf("control characters in %q", e.Text)
		}
		if e.Token != "" && token("["+e.Token+"]") != e.Token {
			t.Errorf("token %q has not its form", e.Token)
		}
		encoded := strings.ContainsAny(text, "&\\\x00") || strings.Contains(strings.ToLower(text), "content-type")
		if !encoded && !strings.Contains(text, e.Token) {
			t.Errorf("token %q is not in the text", e.Token)
		}
	})
}
