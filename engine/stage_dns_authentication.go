package engine

import (
	"mailwhy/engine/mail"
)

// DNSAction is what a dns_authentication policy does when a check fails.
type DNSAction string

// The actions (domain 3, precedence 7).
const (
	DNSNone          DNSAction = "none"
	DNSIgnorePermits DNSAction = "ignore_permits" // go on as if the sender were not permitted
	DNSReject        DNSAction = "reject"
	DNSHonour        DNSAction = "honour" // do what the sender's DMARC record asks for
)

// DNSChecks is what a dns_authentication policy adds to the common fields.
type DNSChecks struct{ SPF, DKIM, DMARC DNSAction }

// dnsAuthentication judges SPF at rcpt, DKIM and DMARC at data, by the results
// the log holds. Permitted senders are checked like all others.
func (w *walk) dnsAuthentication(moment Moment) bool {
	partial := w.partial(string(SectionDNSAuthentication))
	if w.set.tables[SectionDNSAuthentication] == nil && !partial {
		return false
	}
	if !w.internalTo {
		w.trace.skip(StageDNSAuthentication, moment, "the recipient is not internal")
		return false
	}
	byEnvelope, byHeader := sides(moment, true)
	r := w.contest(SectionDNSAuthentication, byEnvelope, byHeader)
	w.rests(r)
	if partial {
		w.unknown(StageDNSAuthentication, SectionDNSAuthentication, moment, r, "the section is known in part only")
		return false
	}
	if r.winner == nil {
		w.trace.step(w, StageDNSAuthentication, moment, StepPass, r, "")
		return false
	}
	lacked := w.facts.asked
	outcome, because := w.checkDNS(moment, r.winner.policy.DNS)
	switch {
	case outcome != mail.Accepted:
		w.trace.step(w, StageDNSAuthentication, moment, StepStop, r, because)
		return w.stop(outcome, StageDNSAuthentication, moment, r.winner.policy.ID, r)
	case w.facts.asked != lacked:
		w.trace.step(w, StageDNSAuthentication, moment, StepUnknown, r, "the result of the check is not logged")
	default:
		w.trace.step(w, StageDNSAuthentication, moment, StepPass, r, because)
	}
	return false
}

// checkDNS says what the checks of a moment do; accepted when they let pass.
func (w *walk) checkDNS(moment Moment, checks DNSChecks) (outcome mail.Outcome, because string) {
	auth := w.facts.auth
	rows := [...]struct {
		name   string
		moment Moment
		action DNSAction
		lacks  fact
		result string
	}{
		{"SPF", MomentRcpt, checks.SPF, factSPF, auth.SPF},
		{"DKIM", MomentData, checks.DKIM, factDKIM, auth.DKIM},
		{"DMARC", MomentData, checks.DMARC, factDMARC, auth.DMARC},
	}
	for _, row := range rows {
		if row.moment != moment || row.action == DNSNone {
			continue
		}
		w.facts.ask(row.lacks)
		if row.result != "fail" {
			continue
		}
		because = row.name + " fails"
		switch row.action {
		case DNSReject:
			return mail.Rejected, because
		case DNSIgnorePermits:
			w.permit.lost = true
			because += ": permits are ignored from here on"
		case DNSHonour:
			if row.name != "DMARC" {
				because += ": left to DMARC"
				continue
			}
			if asked := w.dmarcRecord(); asked != mail.Accepted {
				return asked, because + ", and the sender's record asks for it"
			}
		}
	}
	return mail.Accepted, because
}

// dmarcRecord is what the sender's DMARC record asks for. It is in no log, but
// where the log says that DMARC refused the message it was followed.
func (w *walk) dmarcRecord() mail.Outcome {
	for _, c := range claimsOf(w.facts.message) {
		if c.who == "DMARC" {
			return mail.Rejected
		}
	}
	w.facts.ask(factDMARCRecord)
	if w.facts.dmarcRecord == "" {
		return mail.Accepted
	}
	return w.facts.dmarcRecord
}
