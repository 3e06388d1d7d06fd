package engine

import (
	"net/netip"
	"time"
)

// SpecType is the "applies from" or "applies to" type, in the vendor's API words.
type SpecType string

// The types, in the default order of specificity (least specific first).
const (
	Everyone              SpecType = "everyone"
	InternalAddresses     SpecType = "internal_addresses"
	ExternalAddresses     SpecType = "external_addresses"
	FreeMailDomains       SpecType = "free_mail_domains"
	EmailDomain           SpecType = "email_domain"
	ProfileGroup          SpecType = "profile_group"
	AddressAttributeValue SpecType = "address_attribute_value"
	HeaderDisplayName     SpecType = "header_display_name"
	IndividualAddress     SpecType = "individual_email_address"
)

// Spec is one side of a policy.
type Spec struct {
	Type  SpecType `json:"type" yaml:"type"`
	Value string   `json:"value,omitempty" yaml:"value,omitempty"`
}

// FromPart says which sender address a policy looks at.
type FromPart string

// The from parts; EnvelopeFrom is the default.
const (
	EnvelopeFrom FromPart = "envelope_from"
	HeaderFrom   FromPart = "header_from"
	BothFrom     FromPart = "both"
)

// Section is a list of the policy file: one policy type, one contest.
type Section string

// The sections whose entries are policies.
const (
	SectionBlockedSenders     Section = "blocked_senders"
	SectionPermittedSenders   Section = "permitted_senders"
	SectionAntiSpoofing       Section = "anti_spoofing"
	SectionAntiSpoofingSPF    Section = "anti_spoofing_spf_bypass"
	SectionGreylisting        Section = "greylisting"
	SectionDNSAuthentication  Section = "dns_authentication"
	SectionReputation         Section = "reputation"
	SectionContentExamination Section = "content_examination"
)

// Options of Blocked Senders, Permitted Senders and the apply sections.
const (
	OptionBlockSender  = "block_sender"
	OptionNoAction     = "no_action"
	OptionPermitSender = "permit_sender"
	OptionApply        = "apply"
)

// Policy is one policy of a section as loaded or made by an exception.
type Policy struct {
	Section       Section
	ID            string
	Description   string // the narrative
	Option        string
	FromPart      FromPart
	From, To      Spec
	Override      bool
	Bidirectional bool
	Disabled      bool
	Since         time.Time      // in force from this instant; zero = always was
	Until         time.Time      // no longer in force at this instant; zero = for ever
	SourceIPs     []netip.Prefix // nil = any client
	Origin        string         // path:line, "default", or "exception N"
	Changed       time.Time      // last change, for the propagation time; zero = long ago

	SPFBypass  SPFBypass      // of anti_spoofing_spf_bypass
	DNS        DNSChecks      // of dns_authentication
	Reputation ReputationRule // of reputation
	Content    ContentRule    // of content_examination
}

// GroupEntry is one member of one group.
type GroupEntry struct{ Group, Member string }

// Change is what one exception or remedy does to a set while it is in force.
// The windows of added policies are in the policies; the other parts are in
// force from Since (zero = always was) until Until (zero = for ever).
type Change struct {
	Kind          Kind
	Policies      []Policy
	ManagedPut    []ManagedEntry // replaces the recipient's entry for that sender
	ManagedDelete []ManagedEntry // by recipient and sender
	GroupRemove   []GroupEntry
	Origin        string
	Since, Until  time.Time
}
