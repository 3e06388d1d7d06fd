package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mailwhy/engine/mail"
)

// TestRecipes has, for each kind of change, what a person does in the vendor's
// console and what a program sends to the vendor's API.
func TestRecipes(t *testing.T) {
	set := remedySet(t, "groups: {Blocked Senders: {members: [bad.example]}, Sales: {members: [bob@corp.example]}}\n")
	m := mail.Message{EnvelopeFrom: "a@bad.example", HeaderFrom: "a@bad.example", Recipient: "bob@corp.example", Client: mail.Client{IP: "198.51.100.7"}}
	until := remedyNoon.AddDate(0, 0, 30)

	f := func(kind Kind, scope string, m mail.Message, want string) {
		t.Helper()
		parsed, err := ParseScope(scope)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Draft(set, kind, parsed, &m, "E-1", "Bypass (T-1)", remedyNoon, until)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, step := range ConsoleSteps(c) {
			fmt.Fprintln(&b, step)
		}
		for _, call := range APICalls(c) {
			body, err := json.Marshal(call.Body)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s %s %s %s\n", call.Version, call.Method, call.Path, body)
		}
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), b.String()); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", kind, scope, diff)
		}
	}

	f(KindBypass, "sender>recipient,ip", m, `
Open Policies | Gateway Policies | Blocked Senders
Select New Policy
Policy Narrative: Bypass (T-1)
Blocked Sender Policy: Take No Action
Addresses Based On: Return Address (Mail Envelope From)
Applies From: Individual Email Address
Specifically: a@bad.example
Applies To: Individual Email Address
Specifically: bob@corp.example
Enable / Disable: Enable
Date Range: until 2026-12-23 12:00 UTC
Policy Override: leave unticked
Bi-Directional: leave unticked
Source IP Ranges: 198.51.100.7/32
Save and Exit; it can take 5 minutes to reach every gateway
1 POST /api/policy/blockedsenders/create-policy {"data":[{"option":"no_action","policy":{"bidirectional":false,"conditions":{"sourceIPs":["198.51.100.7/32"]},"description":"Bypass (T-1)","from":{"emailAddress":"a@bad.example","type":"individual_email_address"},"fromDate":"2026-11-23T12:00:00+0000","fromEternal":false,"fromPart":"envelope_from","override":false,"to":{"emailAddress":"bob@corp.example","type":"individual_email_address"},"toDate":"2026-12-23T12:00:00+0000","toEternal":false}}]}
2.0 POST /policy-management/cloud-gateway/v1/blocked-senders/policies {"bidirectional":false,"description":"Bypass (T-1)","enabled":true,"from":{"emailAddress":"a@bad.example","type":"individual_email_address"},"fromDateTime":"2026-11-23T12:00:00+0000","fromEternal":false,"fromPart":"envelope_from","option":"no_action","override":false,"sourceIPs":["198.51.100.7/32"],"to":{"emailAddress":"bob@corp.example","type":"individual_email_address"},"toDateTime":"2026-12-23T12:00:00+0000","toEternal":false}
`)

	until = time.Time{}
	f(KindBypass, "domain>recipient", m, `
Open Policies | Gateway Policies | Blocked Senders
Select New Policy
Policy Narrative: Bypass (T-1)
Blocked Sender Policy: Take No Action
Addresses Based On: Return Address (Mail Envelope From)
Applies From: Email Domain
Specifically: bad.example
Applies To: Individual Email Address
Specifically: bob@corp.example
Enable / Disable: Enable
Set policy as perpetual: Always On
Policy Override: tick
Bi-Directional: leave unticked
Save and Exit; it can take 5 minutes to reach every gateway
1 POST /api/policy/blockedsenders/create-policy {"data":[{"option":"no_action","policy":{"bidirectional":false,"conditions":{"sourceIPs":[]},"description":"Bypass (T-1)","from":{"emailDomain":"bad.example","type":"email_domain"},"fromDate":"2026-11-23T12:00:00+0000","fromEternal":false,"fromPart":"envelope_from","override":true,"to":{"emailAddress":"bob@corp.example","type":"individual_email_address"},"toEternal":true}}]}
2.0 POST /policy-management/cloud-gateway/v1/blocked-senders/policies {"bidirectional":false,"description":"Bypass (T-1)","enabled":true,"from":{"domain":"bad.example","type":"email_domain"},"fromDateTime":"2026-11-23T12:00:00+0000","fromEternal":false,"fromPart":"envelope_from","option":"no_action","override":true,"sourceIPs":[],"to":{"emailAddress":"bob@corp.example","type":"individual_email_address"},"toEternal":true}
`)

	f(KindManagedPermit, "sender>recipient", m, `
Open Email Delivery | Managed Senders
Search for sender a@bad.example and recipient bob@corp.example
Right-click the entry and select Permit Sender; it can take 5 minutes to reach every gateway
1 POST /api/managedsender/permit-or-block-sender {"data":[{"action":"permit","sender":"a@bad.example","to":"bob@corp.example"}]}
`)

	out := m
	out.Recipient = "leaver@home.example"
	f(KindRelay, "sender>recipient", out, `
Open Users & Groups | Profile Groups
Select the group Relay
Select Build | Add Email Addresses
Add the address leaver@home.example
Save and Exit; it can take 5 minutes to reach every gateway
1 POST /api/directory/add-group-member {"data":[{"emailAddress":"leaver@home.example","id":"\u003cid of group Relay\u003e"}]}
2.0 POST /directory/cloud-gateway/v1/groups/<id of group Relay>/members {"emailAddress":"leaver@home.example"}
`)
}
