package engine

import (
	"strings"
	"testing"
	"time"

	"mailwhy/engine/mail"
)

// Where nobody loaded policies, nothing is claimed about them: not even that
// the default ones refuse what goes from outside to outside.
func TestNoPoliciesLoaded(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	message := func(words string) *mail.Message {
		return &mail.Message{Time: at, EnvelopeFrom: "alice@acme.example", Recipient: "bob@corp.example", Outcome: mail.Rejected, Phase: mail.PhaseRcpt,
			Reply: mail.Reply{Code: 550, Text: words}}
	}
	bypass := Change{Policies: []Policy{{ID: "E-1", Section: SectionBlockedSenders, Option: OptionNoAction, From: Spec{Type: Everyone}, To: Spec{Type: Everyone}}}}
	for _, set := range []*Set{{}, (&Set{}).Apply(bypass)} {
		trace := Why(set, message("User unknown in local recipient table"), at, at)
		if trace.Verdict.Outcome != nil || trace.Verdict.Certainty != Undetermined || strings.Join(trace.Verdict.Missing, " ") != "policies" {
			t.Errorf("verdict %+v", trace.Verdict)
		}
		if trace.Agreement.Result != NotPolicy || len(trace.Remedies) != 0 {
			t.Errorf("an unknown user: %+v, %d remedies", trace.Agreement, len(trace.Remedies))
		}
		trace = Why(set, message("Administrative prohibition - envelope blocked"), at, at)
		if trace.Agreement.Result != Unexplained || !strings.Contains(trace.Agreement.Detail, "no policies are loaded") {
			t.Errorf("a blocked sender: %+v", trace.Agreement)
		}
		if len(trace.Remedies) == 0 {
			t.Error("a blocked sender: no remedy to try")
		}
		for _, r := range trace.Remedies {
			if r.Works != nil {
				t.Errorf("%s %s works: %v", r.Kind, r.Scope, *r.Works)
			}
		}
	}
	if set, err := Load("policy.yaml", []byte("version: 1\n")); err != nil || !set.Loaded() || Decide(set, message("x"), at).Policy != "default-external-to-external" {
		t.Errorf("a policy file that says nothing has the default policies (error %v)", err)
	}
}
