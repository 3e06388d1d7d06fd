package publish

import (
	"fmt"
	"strings"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// longestAddress is the longest address that is written, in bytes: the path
// limit of RFC 5321 section 4.5.3.1.3 without its angle brackets.
const longestAddress = 254

// atext are the characters of a dot-string (RFC 5321 section 4.1.2) besides
// letters, digits and the dot. Quoted local parts are never written: every map
// format has its own idea of quotes.
const atext = "!#$%&'*+-/=?^_`{|}~"

// exactAddress folds an address to the form in which a map holds it. The error
// says in a sentence why it could match more than itself, or nothing at all.
// also are characters of atext that this map format gives a meaning.
func exactAddress(address, also string) (string, error) {
	p := mail.Path(address)
	domain := p.Domain()
	if p.Null() || domain == "" {
		return "", fmt.Errorf("%q names nobody, so it cannot be put on a list", short(address))
	}
	local := strings.ToLower(p.Local())
	if len(local)+1+len(domain) > longestAddress {
		return "", fmt.Errorf("the address %q is longer than %d bytes: no list takes it", short(address), longestAddress)
	}
	for _, r := range local {
		plain := r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.'
		if !plain && (!strings.ContainsRune(atext, r) || strings.ContainsRune(also, r)) {
			return "", fmt.Errorf("the address %q has the character %q, which this list would read as something else", short(address), r)
		}
	}
	if strings.HasPrefix(local, ".") || strings.HasSuffix(local, ".") || strings.Contains(local, "..") || strings.HasPrefix(local, "-") || strings.HasPrefix(local, "#") || strings.HasPrefix(local, "!") {
		return "", fmt.Errorf("the address %q begins, ends or is joined in a way that this list would read as something else", short(address))
	}
	domain, err := exactDomain(domain)
	if err != nil {
		return "", err
	}
	if written := local + "@" + domain; written == string(p.Fold()) {
		return written, nil
	}
	return "", fmt.Errorf("the address %q would be written as another one", short(address))
}

// exactDomain folds a domain to letters, digits, hyphens and dots (RFC 5890
// A-labels); the error says why it is none.
func exactDomain(domain string) (string, error) {
	folded := mail.FoldDomain(domain)
	for label := range strings.SplitSeq(folded, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", fmt.Errorf("%q is not the name of a domain", short(domain))
		}
		for _, r := range label {
			if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
				return "", fmt.Errorf("%q is not the name of a domain: it has the character %q", short(domain), r)
			}
		}
	}
	if len(folded) > 253 || !strings.Contains(folded, ".") {
		return "", fmt.Errorf("%q is not the full name of a domain", short(domain))
	}
	return folded, nil
}

// short cuts a text that a sentence quotes.
func short(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}

// row is what an entry says in the words of an address list.
type row struct {
	id        int
	sender    string // address or domain, exact; "" = any (relay)
	domain    bool   // the sender is a domain
	recipient string // address, exact; "" = any
	header    bool   // the header from is looked at
	envelope  bool   // the envelope from is looked at
	permit    bool   // a permit, not a bypass
}

// rowOf reads an entry as one row. The error says in a sentence what no address
// list can say. also as in exactAddress.
func rowOf(e Entry, also string) (row, error) {
	if len(e.Change.Policies) != 1 {
		return row{}, fmt.Errorf("a change of a user's list or of a group is not an entry of an address list")
	}
	p := &e.Change.Policies[0]
	r := row{id: e.ID, header: p.FromPart != engine.EnvelopeFrom, envelope: p.FromPart != engine.HeaderFrom, permit: p.Section == engine.SectionPermittedSenders}
	if p.Section != engine.SectionBlockedSenders && !r.permit {
		return row{}, fmt.Errorf("a policy of %s is not an entry of an address list", p.Section)
	}
	if len(p.SourceIPs) > 0 {
		return row{}, fmt.Errorf("an address list does not look at the client, and without its addresses the exception would let more in")
	}
	var err error
	switch p.From.Type {
	case engine.IndividualAddress:
		r.sender, err = exactAddress(p.From.Value, also)
	case engine.EmailDomain:
		r.domain = true
		r.sender, err = exactDomain(p.From.Value)
	case engine.ExternalAddresses, engine.Everyone:
		return row{}, fmt.Errorf("an exception for whoever writes is not an entry of a list of senders")
	default:
		return row{}, fmt.Errorf("an address list cannot say %s", strings.ReplaceAll(string(p.From.Type), "_", " "))
	}
	if err != nil {
		return row{}, err
	}
	switch p.To.Type {
	case engine.Everyone, engine.InternalAddresses:
	case engine.IndividualAddress:
		r.recipient, err = exactAddress(p.To.Value, also)
	default:
		return row{}, fmt.Errorf("an address list cannot say recipients by %s", strings.ReplaceAll(string(p.To.Type), "_", " "))
	}
	return r, err
}
