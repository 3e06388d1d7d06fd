package exception

import (
	"strings"
	"testing"
	"time"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// TestExamine has one case for each finding, and for what came afterwards.
func TestExamine(t *testing.T) {
	base := policySet()
	bypass := Exception{ID: 1, Kind: engine.KindBypass, FromPart: engine.EnvelopeFrom, From: address("alice@acme.example"), To: address("bob@corp.example"),
		Created: noon, Expires: noon.Add(DefaultLife)}
	change := func(e Exception, section engine.Section, option string) engine.Change {
		return engine.Change{Kind: e.Kind, Policies: []engine.Policy{{Section: section, ID: "E-1", Option: option, FromPart: e.FromPart, From: e.From, To: e.To, Since: e.Created, Until: e.Expires}}}
	}
	noAction := change(bypass, engine.SectionBlockedSenders, engine.OptionNoAction)
	after := func(minutes int, outcome mail.Outcome) mail.Message {
		return mail.Message{ID: string(outcome), Time: noon.Add(time.Duration(minutes) * time.Minute), EnvelopeFrom: "alice@acme.example", Recipient: "bob@corp.example", Outcome: outcome,
			Reported: mail.Reported{Type: "Spam"}}
	}

	f := func(name string, e Exception, with, without *engine.Set, since []mail.Message, day int, want string) {
		t.Helper()
		h := Examine(e, with, without, e.Like(), since, noon.AddDate(0, 0, day))
		var got []string
		for i, finding := range h.Findings {
			got = append(got, string(finding)+": "+h.Because[i])
		}
		if text := strings.Join(got, "; "); text != want {
			t.Errorf("%s: %q, want %q", name, text, want)
		}
	}
	f("of use", bypass, base.Apply(noAction), base, nil, 1, "")
	f("about to end", bypass, base.Apply(noAction), base, nil, 25, "expiring: it ends on 23 December 2026 12:00 UTC")
	long := bypass
	long.Expires = noon.AddDate(0, 6, 0)
	longer := change(long, engine.SectionBlockedSenders, engine.OptionNoAction)
	f("never hit", long, base.Apply(longer), base, nil, 31, "stale: no message it is for was seen since 23 November 2026")
	f("hit of late", long, base.Apply(longer), base, []mail.Message{after(60*24*20, mail.Delivered)}, 31, "")
	open := engine.Change{Kind: engine.KindGroupRemove, GroupRemove: []engine.GroupEntry{{Group: "Blocked Senders", Member: "acme.example"}}}
	f("the block is gone", bypass, base.Apply(open, noAction), base.Apply(open), nil, 1, "redundant: without it nothing would stop the message either")
	permit := bypass
	permit.Kind = engine.KindPermit
	f("a permit of what a policy blocks", permit, base.Apply(change(permit, engine.SectionPermittedSenders, engine.OptionPermitSender)), base, nil, 1,
		"defeated: Blocked Senders default-blocked-senders stops what it was made for all the same")
	f("long over", bypass, base, base, nil, 400, "")

	h := Examine(bypass, base.Apply(noAction), base, bypass.Like(),
		[]mail.Message{after(30, mail.Held), after(20, mail.Deferred), after(10, mail.Delivered), after(-10, mail.Rejected)}, noon.AddDate(0, 0, 1))
	if h.Hits != 3 || h.LetIn != 1 || h.Stopped != 1 || !h.LastHit.Equal(noon.Add(30*time.Minute)) || len(h.Attempts) != 3 || h.Attempts[0].Because != "Spam" || h.Attempts[2].Because != "" {
		t.Errorf("what came afterwards: %+v", h)
	}
}
