package engine

import (
	"fmt"
	"strings"
)

// ConsoleSteps tells how a change is entered by hand in the vendor's console,
// field by field (article "Managing Blocked Senders and Email Rejections").
func ConsoleSteps(c Change) []string {
	var steps []string
	for _, p := range c.Policies {
		if c.Kind == KindRelay {
			steps = append(steps, relaySteps(p.To.Value)...)
			continue
		}
		steps = append(steps, policySteps(&p)...)
	}
	for _, e := range append(append([]ManagedEntry(nil), c.ManagedPut...), c.ManagedDelete...) {
		action := map[string]string{"permit": "Permit Sender", "block": "Block Sender"}[e.Action]
		if len(c.ManagedDelete) > 0 {
			action = "Delete"
		}
		steps = append(steps,
			"Open Email Delivery | Managed Senders",
			fmt.Sprintf("Search for sender %s and recipient %s", e.Sender, e.Recipient),
			"Right-click the entry and select "+action+"; "+propagationNote)
	}
	for _, e := range c.GroupRemove {
		steps = append(steps,
			"Open Users & Groups | Profile Groups",
			fmt.Sprintf("Select the group %s", e.Group),
			fmt.Sprintf("Remove the entry %s", e.Member),
			"Save and Exit; "+propagationNote)
	}
	return steps
}

// propagationNote: the vendor says that a change takes up to 5 minutes.
const propagationNote = "it can take 5 minutes to reach every gateway"

// relaySteps add the outside recipient to the group that the default relay
// policy lets through (article, "What is a 550 Administrative prohibition error?").
func relaySteps(recipient string) []string {
	return []string{
		"Open Users & Groups | Profile Groups",
		"Select the group " + groupRelay,
		"Select Build | Add Email Addresses",
		"Add the address " + recipient,
		"Save and Exit; " + propagationNote,
	}
}

var consoleTypes = map[SpecType]string{
	Everyone: "Everyone", InternalAddresses: "Internal Addresses", ExternalAddresses: "External Addresses", FreeMailDomains: "Freemail Domains",
	EmailDomain: "Email Domain", ProfileGroup: "Address Groups", AddressAttributeValue: "Address Attributes", HeaderDisplayName: "Header Display Name",
	IndividualAddress: "Individual Email Address",
}

func policySteps(p *Policy) []string {
	menu, field, option := "Blocked Senders", "Blocked Sender Policy", "Take No Action"
	if p.Section == SectionPermittedSenders {
		menu, field, option = "Permitted Senders", "Permitted Sender Policy", "Permit Sender"
	}
	basis := map[FromPart]string{EnvelopeFrom: "Return Address (Mail Envelope From)", HeaderFrom: "Message From Address (Message Header From)", BothFrom: "Both"}[p.FromPart]
	steps := []string{
		"Open Policies | Gateway Policies | " + menu,
		"Select New Policy",
		"Policy Narrative: " + p.Description,
		field + ": " + option,
		"Addresses Based On: " + basis,
		"Applies From: " + consoleTypes[p.From.Type],
	}
	if p.From.Value != "" {
		steps = append(steps, "Specifically: "+p.From.Value)
	}
	steps = append(steps, "Applies To: "+consoleTypes[p.To.Type])
	if p.To.Value != "" {
		steps = append(steps, "Specifically: "+p.To.Value)
	}
	steps = append(steps, "Enable / Disable: Enable")
	if p.Until.IsZero() {
		steps = append(steps, "Set policy as perpetual: Always On")
	} else {
		steps = append(steps, "Date Range: until "+p.Until.UTC().Format("2006-01-02 15:04 MST"))
	}
	if p.Override {
		steps = append(steps, "Policy Override: tick")
	} else {
		steps = append(steps, "Policy Override: leave unticked")
	}
	steps = append(steps, "Bi-Directional: leave unticked")
	if len(p.SourceIPs) > 0 {
		var ranges []string
		for _, ip := range p.SourceIPs {
			ranges = append(ranges, ip.String())
		}
		steps = append(steps, "Source IP Ranges: "+strings.Join(ranges, ", "))
	}
	return append(steps, "Save and Exit; "+propagationNote)
}
