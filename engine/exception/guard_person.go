package exception

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"

	"mailwhy/engine"
)

// The longest texts a person may give, in characters.
const (
	longestTicket = 64
	longestReason = 500
)

// guardRole lets operators and admins change things, nobody else.
func guardRole(a Actor) Guard {
	const name = "role"
	switch {
	case clean(a.Name) == "" || clean(a.Name) != a.Name:
		return refused(name, "the person asking has no usable name: every entry needs one")
	case a.Role == Operator || a.Role == Admin:
		return ok(name)
	}
	return refused(name, fmt.Sprintf("%s has the role %s: viewers may search, read and explain, an operator or admin makes changes", a.Name, roleWord(a.Role)))
}

func roleWord(r Role) string {
	if r == Viewer {
		return "viewer"
	}
	return "guest without a known role"
}

// guardTicket requires a ticket, as the only trace that outlives everybody's memory.
func (q question) guardTicket() Guard {
	const name = "ticket"
	ticket := strings.TrimSpace(q.proposal.Ticket)
	switch {
	case ticket == "":
		return refused(name, "a ticket is required: every exception says which request it came from")
	case !strings.ContainsFunc(ticket, letterOrDigit):
		return refused(name, "the ticket holds no letter and no digit")
	case utf8.RuneCountInString(ticket) > longestTicket:
		return refused(name, fmt.Sprintf("the ticket is longer than %d characters", longestTicket))
	}
	return guardText(name, ticket)
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// guardText refuses text that could show as something else than it is. It is
// not cleaned silently: what a person typed is what the journal keeps.
func guardText(name, text string) Guard {
	switch {
	case strings.ContainsFunc(text, hostile):
		return refused(name, fmt.Sprintf("the %s holds control, direction or invisible characters: type it anew", name))
	case utf8.RuneCountInString(text) > longestReason:
		return refused(name, fmt.Sprintf("the %s is longer than %d characters", name, longestReason))
	}
	return ok(name)
}

// guardExpiry requires an end: see guardUntil.
func (q question) guardExpiry() Guard {
	if q.proposal.Never && !q.proposal.Expires.IsZero() {
		return refused("expiry", "an expiry and never were asked for at once")
	}
	kind := q.exception.Kind
	if q.relays() {
		kind = engine.KindRelay // whatever it is called
	}
	return guardUntil(kind, q.actor, q.exception.Expires, q.proposal.Reason, q.now)
}

// guardUntil judges an end (zero = never). More than a year is as good as
// never: only an admin, with a reason. A relay always ends within a year.
func guardUntil(kind engine.Kind, actor Actor, until time.Time, reason string, now time.Time) Guard {
	const name = "expiry"
	year := now.AddDate(1, 0, 0)
	switch {
	case !until.IsZero() && !until.After(now):
		return refused(name, fmt.Sprintf("the expiry %s is not in the future", until.Format(time.RFC3339)))
	case !until.IsZero() && !until.After(year):
		return ok(name)
	case kind == engine.KindRelay:
		return refused(name, "a relay entry ends within a year")
	case actor.Role != Admin:
		return refused(name, "only an admin may let an exception live for more than a year or for ever")
	case !strings.ContainsFunc(reason, letterOrDigit):
		return refused(name, "an exception for more than a year or for ever needs a reason")
	}
	return ok(name)
}

// Renewals that nobody else has to look at.
const freeRenewals = 3

// guardRenewal stops endless renewal; a shorter life is always free.
func guardRenewal(e Exception, until time.Time) Guard {
	const name = "renewal"
	switch {
	case !later(until, e.Expires):
		return ok(name)
	case e.Extensions >= freeRenewals:
		return needsApprover(name, fmt.Sprintf("exception %d was extended %d times already", e.ID, e.Extensions))
	case until.IsZero() || until.After(e.Created.AddDate(1, 0, 0)):
		return needsApprover(name, fmt.Sprintf("exception %d would live for more than a year in all", e.ID))
	}
	return ok(name)
}

// guardAdminOnly lets an operator extend only what an operator could create.
func guardAdminOnly(e Exception, actor Actor) Guard {
	const name = "width"
	if actor.Role == Admin {
		return ok(name)
	}
	switch {
	case e.Kind == engine.KindRelay:
		return refused(name, "only an admin may extend a relay entry")
	case tooWideForOperator(e):
		return refused(name, fmt.Sprintf("exception %d is wider than an operator may make: only an admin may extend it", e.ID))
	case e.Actor.Role == Admin:
		return refused(name, fmt.Sprintf("exception %d was made by an admin: only an admin may extend it", e.ID))
	}
	return ok(name)
}

// guardRepeated stops endless renewal by creating anew what has ended. What was
// taken back within a day was a mistake, not a renewal.
func (q question) guardRepeated() Guard {
	const name = "renewal"
	lives := 0
	for _, e := range q.ended {
		if sameScope(e, q.exception) && e.Until().Sub(e.Created) > 24*time.Hour {
			lives += 1 + e.Extensions
		}
	}
	if lives <= freeRenewals {
		return ok(name)
	}
	return needsApprover(name, fmt.Sprintf("the same was let in %d times already", lives))
}

// guardCount asks for a second look when one sender domain collects exceptions,
// by whatever kind of entry, by its hosts or by itself.
func (q question) guardCount() Guard {
	const name, most = "count", 5
	domain := senderDomain(q.exception)
	if domain == "" || !opens(q.exception.Kind) {
		return ok(name)
	}
	n := 0
	for _, e := range q.live {
		if opens(e.Kind) && senderDomain(e) == domain {
			n++
		}
	}
	if n < most {
		return ok(name)
	}
	return needsApprover(name, fmt.Sprintf("%d exceptions for %s are live already, %d are the most without one", n, domain, most))
}

// senderDomain is the registrable domain an exception is for: that of the
// sender it names, or of the message a relay entry was made for.
func senderDomain(e Exception) string {
	domain := specDomain(e.From)
	if domain == "" {
		domain = e.ForDomain
	}
	if parent, err := publicsuffix.EffectiveTLDPlusOne(domain); err == nil {
		return parent
	}
	return domain
}

// guardDuplicate names the exception that already says the same.
func (q question) guardDuplicate() Guard {
	const name = "duplicate"
	for _, e := range slices.Concat(q.live, q.waiting) {
		if sameScope(e, q.exception) {
			return refused(name, fmt.Sprintf("exception %d (%s) says the same and is %s: extend it instead", e.ID, e.Ticket, e.State(q.now)))
		}
	}
	return ok(name)
}
