package exception

import (
	"strings"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// TestAdvice: "send it again" is said of a refusal for good alone, and once the
// change is live and had time to spread.
func TestAdvice(t *testing.T) {
	accepted, rejected := mail.Accepted, mail.Rejected
	lets, stops := engine.Verdict{Outcome: &accepted}, engine.Verdict{Outcome: &rejected, Policy: "P-007"}
	refusedMail := mail.Message{ID: "m1", Outcome: mail.Rejected, EnvelopeFrom: "alice@acme.example", Recipient: "bob@corp.example", Reply: mail.Reply{Code: 550}}
	made := Exception{ID: 3, Kind: engine.KindBypass, From: address("alice@acme.example"), To: address("bob@corp.example"), Created: noon, Expires: noon.Add(DefaultLife)}
	with := func(change func(*Exception)) []Exception { e := made; change(&e); return []Exception{e} }

	f := func(outcome mail.Outcome, code int, present engine.Verdict, all []Exception, minutes int, want string) {
		t.Helper()
		m := refusedMail
		m.Outcome, m.Reply.Code = outcome, code
		got := Advice(&m, present, all, 5*time.Minute, noon.Add(time.Duration(minutes)*time.Minute), time.UTC)
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s %d: %q, want %q", outcome, code, got, want)
		}
		if said := strings.HasPrefix(got, "Please send it again"); said && (outcome != mail.Rejected || code/100 == 4) {
			t.Errorf("%s %d: %q asks for what helps nobody", outcome, code, got)
		}
	}
	steps := func(e *Exception) { e.Steps = []string{"Open Policies"} }
	f(mail.Rejected, 550, stops, nil, 1, "Nothing was changed yet")
	f(mail.Rejected, 550, lets, nil, 1, "No policy stops such a message any more")
	f(mail.Rejected, 550, lets, with(steps), 1, "Do not ask for a resend yet: exception 3 is made here")
	f(mail.Rejected, 550, lets, with(func(e *Exception) {}), 1, "Please send it again after 12:05 UTC")
	f(mail.Rejected, 550, lets, with(func(e *Exception) { steps(e); e.Confirmed = noon.Add(time.Hour) }), 61, "Please send it again after 13:05 UTC")
	f(mail.Rejected, 550, lets, with(func(e *Exception) {}), 5, "Please send it again: the change is live since 12:00 UTC")
	f(mail.Rejected, 550, stops, with(func(e *Exception) {}), 9, "Do not ask for a resend: in spite of exception 3, P-007")
	f(mail.Rejected, 550, stops, with(func(e *Exception) { e.Revoked = noon }), 9, "Nothing was changed yet")
	f(mail.Rejected, 550, stops, with(func(e *Exception) { e.From = address("eve@acme.example") }), 9, "Nothing was changed yet")
	f(mail.Rejected, 451, lets, with(func(e *Exception) {}), 9, "Nothing: the refusal was for now")
	f(mail.Deferred, 451, lets, with(func(e *Exception) {}), 9, "Nothing: the sender's server tries again")
	f(mail.Held, 0, lets, nil, 9, "Nothing yet: the message is held")
	f(mail.Bounced, 550, lets, nil, 9, "The message was let in and failed afterwards")
	f(mail.Delivered, 0, lets, nil, 9, "The message went through")
}
