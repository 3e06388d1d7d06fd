package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"mailwhy/engine"
	"mailwhy/engine/mail"
	"mailwhy/index"
)

var private = mail.Message{
	EnvelopeFrom: "alice.smith@acme.example", HeaderFrom: "alice.smith@acme.example", HeaderFromName: "Alice Smith", Recipient: "bob@corp.example",
	Subject: "the merger", MessageID: "<alice.smith.7@acme.example>", Reply: mail.Reply{Code: 550, Text: "<bob@corp.example>: no, BOB"},
	Reported: mail.Reported{Type: "Envelope Rejected", Detail: "rejected alice.smith for Alice Smith"},
	Evidence: []mail.Evidence{{File: "maillog", Text: "from=<alice.smith@acme.example> to=<bob@corp.example> subject=the merger"}},
}

func TestMaskedMessageHoldsNothingMasked(t *testing.T) {
	before, _ := json.Marshal(private)
	got, _ := json.Marshal(Veil{index.Veil{LocalParts: true, Subject: true}}.Message(private))
	for _, secret := range []string{"alice", "smith", "bob", "merger"} {
		if strings.Contains(strings.ToLower(string(got)), secret) {
			t.Errorf("%q is in %s", secret, got)
		}
	}
	for _, kept := range []string{"acme.example", "corp.example", "550", "maillog", "Envelope Rejected"} {
		if !strings.Contains(string(got), kept) {
			t.Errorf("%q is not in %s", kept, got)
		}
	}
	if after, _ := json.Marshal(private); !bytes.Equal(before, after) {
		t.Error("the message itself was changed")
	}
}

func TestLinesThatNameAHiddenMailboxAreWithheld(t *testing.T) {
	v := Veil{index.Veil{Hidden: []string{"BOB@corp.example"}}}
	if m := v.Message(private); strings.Contains(m.Evidence[0].Text, "bob") {
		t.Errorf("shown: %s", m.Evidence[0].Text)
	}
	if v.Sees(&private) {
		t.Error("the message to a hidden mailbox is seen")
	}
}

func TestMaskedOutput(t *testing.T) {
	var out bytes.Buffer
	w, end := Veil{index.Veil{LocalParts: true}}.Output(&out)
	for _, piece := range []string{"alice.smi", "th@acme.exa", "mple -> <bob@corp", ".example>\n", `{"to":"bob@corp.example"} last@li`, "ne.example"} {
		fmt.Fprint(w, piece)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	want := "***@acme.example -> <***@corp.example>\n{\"to\":\"***@corp.example\"} ***@line.example"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestMaskedTraceIsACopy(t *testing.T) {
	trace := engine.Trace{Agreement: engine.Agreement{Detail: "alice@acme.example is blocked"}, Steps: []engine.Step{{Because: "bob@corp.example"}}}
	got := veilTexts(Veil{index.Veil{LocalParts: true}}, trace)
	if got.Agreement.Detail != "***@acme.example is blocked" || got.Steps[0].Because != "***@corp.example" {
		t.Errorf("masked as %+v", got)
	}
	if trace.Steps[0].Because != "bob@corp.example" {
		t.Error("the trace itself was changed")
	}
}
