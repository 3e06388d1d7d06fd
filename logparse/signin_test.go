package logparse

import "testing"

func TestReadSignIn(t *testing.T) {
	f := func(line, account, client string) {
		t.Helper()
		got, ok := ReadSignIn([]byte(line))
		if want := (SignIn{account, client}); got != want || ok != (client != "") {
			t.Errorf("%s\ngot  %+v %t\nwant %+v", line, got, ok, want)
		}
	}
	f("Nov 23 09:14:03 mx1 postfix/smtpd[1]: warning: unknown[192.0.2.9]: SASL LOGIN authentication failed: UGFzc3dvcmQ6", "", "192.0.2.9")
	f("Nov 23 09:14:03 mx1 postfix/submission/smtpd[1]: warning: mail.example.com[192.0.2.9]: SASL PLAIN authentication failed: (reason unavailable), sasl_username=bob@corp.example", "bob@corp.example", "192.0.2.9")
	f("Nov 23 09:14:03 mx1 postfix/smtp[1]: warning: 4F: SASL authentication failed; server mail.example.com[192.0.2.9] said: 535 5.7.8 Error", "", "")
	f("Nov 23 09:14:03 mx1 postfix/smtpd[1]: warning: unknown[unknown]: SASL LOGIN authentication failed: x", "", "")
	f("2026-11-23 08:00:04 login authenticator failed for (e.example) [203.0.113.5]: 535 Incorrect authentication data (set_id=pat)", "pat", "203.0.113.5")
	f("2026-11-23 08:00:04 plain authenticator failed for h.example.com ([198.51.100.7]) [2001:db8::1]:4711: 535 Incorrect authentication data (set_id=a) (b)", "a) (b", "2001:db8::1")
	f("2026-11-23 08:00:04 login authenticator failed for (e.example) [203.0.113.5]: 535 Incorrect authentication data", "", "203.0.113.5")
	f("2026-11-23 08:00:04 login authenticator failed for (e.example) [203.0.113.5]: 435 Unable to authenticate at present", "", "")
	f("Nov 23 09:14:03 mx1 dovecot: submission-login: Disconnected: Connection closed (auth failed, 1 attempts in 2 secs): user=<bob>, method=PLAIN, rip=::ffff:192.0.2.9, lip=192.0.2.1", "bob", "192.0.2.9")
	f("Nov 23 09:14:03 mx1 dovecot: imap-login: Disconnected (auth failed, 1 attempts): user=<>, rip=nonsense", "", "")
	f("Nov 23 09:14:03 mx1 postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.9]: 550 5.7.1 no: SASL later", "", "")
}
