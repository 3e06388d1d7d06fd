package exception

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"mailwhy/engine"
	"mailwhy/engine/mail"
)

// guardAddresses accepts plain addresses and domains only. They come from a log,
// where a sender chose them: a wildcard, a pattern prefix or an invisible
// character would make the entry match something else than the screen shows.
func (q question) guardAddresses() Guard {
	const name = "address"
	var specs []engine.Spec
	for _, p := range q.change.Policies {
		specs = append(specs, p.From, p.To)
	}
	for _, m := range slices.Concat(q.change.ManagedPut, q.change.ManagedDelete) {
		specs = append(specs, entrySpec(m.Sender), entrySpec(m.Recipient))
	}
	for _, g := range q.change.GroupRemove {
		specs = append(specs, entrySpec(g.Member))
	}
	if len(specs) == 0 {
		return refused(name, "the change touches nobody")
	}
	for _, s := range specs {
		if problem := specProblem(s); problem != "" {
			return refused(name, fmt.Sprintf("%q %s", clean(s.Value), problem))
		}
	}
	return ok(name)
}

// longestAddress is the longest local part, the sign and the longest domain, in
// bytes (RFC 5321, 4.5.3.1).
const longestAddress = 64 + 1 + 255

func specProblem(s engine.Spec) string {
	switch {
	case strings.ContainsFunc(s.Value, hostile):
		return "holds control, direction or invisible characters"
	case s.Type == engine.IndividualAddress:
		p := mail.Path(s.Value)
		switch {
		case p.Domain() == "":
			return "is no address"
		case len(s.Value) > longestAddress:
			return "is longer than an address can be"
		case strings.HasPrefix(strings.ToLower(s.Value), "multi:") || strings.ContainsAny(p.Local(), "*@<>()[]\\,;: \"|"):
			return "is no plain address: the gateway would read it as a pattern or a list"
		}
		return domainProblem(p.Domain())
	case s.Type == engine.EmailDomain:
		return domainProblem(mail.FoldDomain(s.Value))
	}
	return ""
}

// domainProblem says what is wrong with a folded domain, "" for nothing.
func domainProblem(domain string) string {
	if len(domain) > 253 {
		return "is longer than a domain can be"
	}
	for label := range strings.SplitSeq(domain, ".") {
		plain := func(r rune) bool {
			return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_'
		}
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label || strings.ContainsFunc(label, func(r rune) bool { return !plain(r) }) {
			return "holds no plain domain name"
		}
	}
	return ""
}

// guardEveryone keeps whole classes of senders out of exceptions: only an admin
// may name one, and only from a few addresses of the network. A relay entry is
// for one recipient whoever writes, see guardRelay.
func (q question) guardEveryone() Guard {
	const name = "everyone"
	e := q.exception
	if !wholeClass(e.From.Type) || e.Kind == engine.KindRelay {
		return ok(name)
	}
	from, to := specWord(e.From), specWord(e.To)
	switch {
	case q.actor.Role != Admin:
		return refused(name, fmt.Sprintf("from %s to %s is open to anybody: name the sender", from, to))
	case !fewAddresses(e.SourceIPs):
		return refused(name, fmt.Sprintf("from %s to %s needs source addresses, at most a /24 (IPv4) or a /64 (IPv6) each", from, to))
	}
	return ok(name)
}

func wholeClass(t engine.SpecType) bool {
	switch t {
	case engine.EmailDomain, engine.IndividualAddress, engine.ProfileGroup, engine.AddressAttributeValue:
		return false
	}
	return true // a display name too: anybody can write one
}

// guardPublicSuffix refuses a domain under which anybody can register
// (https://publicsuffix.org).
func (q question) guardPublicSuffix() Guard {
	const name = "public_suffix"
	if q.exception.From.Type != engine.EmailDomain || !opens(q.exception.Kind) {
		return ok(name)
	}
	domain := specDomain(q.exception.From)
	if suffix, _ := publicsuffix.PublicSuffix(domain); domain != "" && suffix == domain {
		return refused(name, fmt.Sprintf("%s is a public suffix: anybody can register a name under it", domain))
	}
	return ok(name)
}

// guardSharedDomain refuses to let in a whole domain that many strangers send
// from.
func (q question) guardSharedDomain() Guard {
	const name = "shared_domain"
	if q.exception.From.Type != engine.EmailDomain || !opens(q.exception.Kind) {
		return ok(name)
	}
	domain := specDomain(q.exception.From)
	if q.set.FreeMail(domain) {
		return refused(name, fmt.Sprintf("%s is a free-mail domain: name the one sender", domain))
	}
	if free, found := engine.FreeMailService(domain); found {
		return refused(name, fmt.Sprintf("%s belongs to the free-mail service %s: name the one sender", domain, free))
	}
	if esp, found := engine.SharedSender(domain); found {
		return refused(name, fmt.Sprintf("%s belongs to the mailing service %s, which sends for many: name the one sender", domain, esp))
	}
	return ok(name)
}

// guardWidth keeps operators to one address, or one domain for one recipient.
func (q question) guardWidth() Guard {
	const name = "width"
	if q.actor.Role == Admin || !opens(q.exception.Kind) || !tooWideForOperator(q.exception) {
		return ok(name)
	}
	return refused(name, fmt.Sprintf("from %s to %s is wider than one address, or one domain for one recipient: ask an admin",
		specWord(q.exception.From), specWord(q.exception.To)))
}

func tooWideForOperator(e Exception) bool {
	switch {
	case e.Kind == engine.KindRelay:
		return false // guardRelay is stricter
	case e.From.Type == engine.IndividualAddress:
		return false
	case e.From.Type == engine.EmailDomain && !strings.HasPrefix(e.From.Value, "*."):
		return e.To.Type != engine.IndividualAddress
	}
	return true
}

// guardManaged: a recipient's own list is that recipient's.
func (q question) guardManaged() Guard {
	const name = "managed"
	entries := slices.Concat(q.change.ManagedPut, q.change.ManagedDelete)
	for _, m := range entries {
		recipient := mail.Path(m.Recipient)
		if recipient.Domain() == "" || !q.set.Internal(recipient) {
			return refused(name, fmt.Sprintf("%s is no internal address, so it has no list of its own", clean(m.Recipient)))
		}
	}
	if len(entries) > 1 {
		return refused(name, "one change touches one entry of one recipient")
	}
	return ok(name)
}

// guardOwnDomain: mail that claims to come from us is how a forgery looks.
func (q question) guardOwnDomain() Guard {
	const name = "own_domain"
	e := q.exception
	if !opens(e.Kind) || q.actor.Role == Admin {
		return ok(name)
	}
	domain := specDomain(e.From)
	if _, own := engine.Under(domain, q.set.InternalDomains()); own || e.From.Type == engine.InternalAddresses {
		return refused(name, fmt.Sprintf("%s is ours: mail from outside that claims to come from it may be forged, only an admin may let it in", specWord(e.From)))
	}
	return ok(name)
}

// sameScope reports whether two exceptions let in, or block, the same.
func sameScope(a, b Exception) bool {
	return a.Kind == b.Kind && a.Group == b.Group && a.FromPart == b.FromPart && sameSpec(a.From, b.From) && sameSpec(a.To, b.To) &&
		slices.Equal(sorted(a.SourceIPs), sorted(b.SourceIPs))
}

func sameSpec(a, b engine.Spec) bool {
	if a.Type != b.Type {
		return false
	}
	switch a.Type {
	case engine.IndividualAddress:
		return mail.Path(a.Value).Fold() == mail.Path(b.Value).Fold()
	case engine.EmailDomain:
		return mail.FoldDomain(a.Value) == mail.FoldDomain(b.Value)
	}
	return a.Value == b.Value
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
