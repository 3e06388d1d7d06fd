package engine

import (
	"fmt"
	"strings"
	"time"

	"mailwhy/engine/mail"
)

// claim is what a text of the log says about the stage that refused. Several
// claims of one text mean that it is ambiguous. A claim with stage "" says
// that no policy of ours did it.
type claim struct {
	stage  Stage
	moment Moment // "" = any
	entry  string // "address" or "domain" where the text says which, of managed senders
	who    string // for claims that are no modelled policy
}

// reportTable maps the vendor's types and texts to claims, most telling first.
// Source: the vendor's SMTP error table and rejection types, domain sections 4
// and 5. Dashes and case are folded before the comparison.
var reportTable = []struct {
	text   string
	claims []claim
}{
	{"manual envelope rejection", []claim{{stage: StageManagedSenders, moment: MomentRcpt}}},
	{"manual header rejection", []claim{{stage: StageManagedSenders, moment: MomentData}}},
	{"envelope blocked - user domain entry", []claim{{stage: StageManagedSenders, moment: MomentRcpt, entry: "domain"}}},
	{"envelope blocked - user entry", []claim{{stage: StageManagedSenders, moment: MomentRcpt, entry: "address"}}},
	{"rejected by header based manually blocked senders", []claim{{stage: StageManagedSenders, moment: MomentData}}},
	{"rejected by header based blocked senders", []claim{{stage: StageBlockedSenders, moment: MomentData}}},
	{"rejected by header based anti-spoofing", []claim{{stage: StageAntiSpoofing, moment: MomentData}}},
	{"anti-spoofing header lockout", []claim{{stage: StageAntiSpoofing, moment: MomentData}}},
	{"anti-spoofing", []claim{{stage: StageAntiSpoofing}}},
	{"header rejected", []claim{{stage: StageBlockedSenders, moment: MomentData}}},
	{"sender address blocked", []claim{{stage: StageBlockedSenders, moment: MomentRcpt}, {who: "a client refusal at connect"}}},
	{"spf sender invalid", []claim{{who: "SPF"}}},
	{"dkim sender invalid", []claim{{who: "DKIM"}}},
	{"dmarc sender invalid", []claim{{who: "DMARC"}}},
	{"administrative prohibition", []claim{{stage: StageBlockedSenders, moment: MomentRcpt}, {who: "an SPF hard fail"}}},
	{"envelope rejected - block policy", []claim{{stage: StageBlockedSenders, moment: MomentRcpt}}},
	{"envelope rejected", []claim{{stage: StageBlockedSenders, moment: MomentRcpt}, {who: "an SPF hard fail"}}},
	{"policy level block list in force", []claim{{stage: StageBlockedSenders}}},
	{"open relay not allowed", []claim{{stage: StageBlockedSenders, moment: MomentRcpt}}},
	{"ip found in rbl", []claim{{who: "a reputation list (RBL)"}}},
	{"ip reputation", []claim{{who: "IP reputation"}}},
	{"poor reputation", []claim{{who: "IP reputation"}}},
	{"blocked using", []claim{{who: "a reputation list (RBL)"}}},
	{"invalid recipient", []claim{{who: "recipient validation"}}},
	{"user unknown", []claim{{who: "recipient validation"}}},
	{"recipient temporarily unavailable", []claim{{who: "recipient validation"}}},
	{"no such user", []claim{{who: "recipient validation"}}},
	{"relay access denied", []claim{{who: "the server's relay rule"}}},
	{"greylist", []claim{{who: "greylisting"}}},
	{"internal resource", []claim{{who: "greylisting"}}},
	{"sender failed to retry", []claim{{who: "greylisting"}}},
	{"virus", []claim{{who: "the virus scanner"}}},
	{"malicious", []claim{{who: "the scan of links and codes"}}},
	{"due to security policies", []claim{{who: "the virus or spam scanner"}}},
	{"content examination", []claim{{who: "Content Examination"}}},
	{"message loop", []claim{{who: "the loop check"}}},
	{"mail loop", []claim{{who: "the loop check"}}},
	{"maximum email size", []claim{{who: "the size limit"}}},
	{"message size exceeds", []claim{{who: "the size limit"}}},
	{"host network not allowed", []claim{{who: "the geographical restriction"}}},
	{"requires encryption", []claim{{who: "the TLS rule"}}},
	{"requires tls", []claim{{who: "the TLS rule"}}},
	{"requires high-strength", []claim{{who: "the TLS rule"}}},
	{"incorrect authentication data", []claim{{who: "SMTP authentication"}}},
	{"submitter failed", []claim{{who: "SMTP authentication"}}},
	{"too many recipients", []claim{{who: "the recipient limit"}}},
	{"temporarily blacklisted", []claim{{who: "the connection limit"}}},
	{"account service is temporarily unavailable", []claim{{who: "the connection limit"}}},
	{"unable to process", []claim{{who: "the gateway's own capacity"}}},
	{"inbounds disabled", []claim{{who: "the account's settings"}}},
	{"outbounds disabled", []claim{{who: "the account's settings"}}},
	{"remote server timeout", []claim{{who: "the connection, which broke off"}}},
}

// Agree compares a verdict as of at with what the log reports.
func Agree(set *Set, m *mail.Message, at, now time.Time, v Verdict) Agreement {
	a := Agreement{Logged: logged(m)}
	if m.Outcome == "" && m.Reply == (mail.Reply{}) && m.Reported == (mail.Reported{}) {
		a.Result, a.Detail = NotLogged, "no log tells what became of this message"
		return a
	}
	if m.Phase == mail.PhaseDelivery || m.Phase == mail.PhaseQueue {
		a.Result, a.Detail = NotPolicy, "it was refused or delayed on the way to the next hop, after the policies had let it in"
		return a
	}
	claims := claimsOf(m)
	refused := v.Outcome != nil && *v.Outcome != mail.Accepted
	if refused && m.Reported.Rule != "" && m.Reported.Rule == v.Policy {
		a.Result, a.Detail = Agrees, fmt.Sprintf("the gateway itself names policy %s", v.Policy)
		return a
	}
	for _, c := range claims {
		if c.stage != "" && refused && c.stage == v.Stage && (c.moment == "" || c.moment == v.Moment) && entryFits(c, v) {
			a.Result, a.Detail = Agrees, fmt.Sprintf("the log's words are those of %s, and %s of it stops the message", v.Stage, v.Policy)
			return a
		}
	}
	return disagree(set, m, at, now, v, claims, a)
}

func disagree(set *Set, m *mail.Message, at, now time.Time, v Verdict, claims []claim, a Agreement) Agreement {
	if !set.Loaded() {
		return unloaded(claims, a)
	}
	refused := v.Outcome != nil && *v.Outcome != mail.Accepted
	for _, c := range claims {
		if c.stage == "" || refused {
			continue
		}
		if p := endedSince(set, m, at, c.stage); p != nil {
			a.Result, a.Detail = PolicyChanged, fmt.Sprintf("policy %s would have stopped it and was not in force", p.ID)
			return a
		}
		if current := Decide(set, m, now); current.Outcome != nil && *current.Outcome != mail.Accepted && current.Stage == c.stage && !now.Equal(at) {
			a.Result, a.Detail = PolicyChanged, fmt.Sprintf("as of the message no policy of %s stops it, as of now %s does: the policies changed between", c.stage, current.Policy)
			return a
		}
	}
	for _, c := range claims {
		if c.stage == "" && !refused {
			a.Result, a.Detail = NotPolicy, c.who+" refused it, which no sender policy decides"
			return a
		}
	}
	if len(claims) == 0 && (m.Outcome == mail.Accepted || m.Outcome == mail.Delivered) && !refused {
		a.Result, a.Detail = Agrees, "the message was let in"
		return a
	}
	for _, c := range claims {
		if c.stage == "" {
			continue
		}
		a.Result, a.Detail = Unexplained, fmt.Sprintf("the log names %s, but no loaded policy of it stops the message", c.stage)
		return a
	}
	switch {
	case len(claims) > 0:
		a.Result, a.Detail = Unexplained, fmt.Sprintf("the log says %s refused it, the replay says %s %s", claims[0].who, v.Stage, v.Policy)
	case refused:
		a.Result, a.Detail = Unexplained, fmt.Sprintf("the replay is stopped by %s %s, the log's words name no policy", v.Stage, v.Policy)
	default:
		a.Result, a.Detail = NotPolicy, "the log's words name no policy, and none of the loaded ones stops the message"
	}
	return a
}

// unloaded is all that can be said where no policies are loaded.
func unloaded(claims []claim, a Agreement) Agreement {
	a.Result, a.Detail = NotPolicy, "the log's words name no policy"
	for _, c := range claims {
		if c.stage != "" {
			a.Result, a.Detail = Unexplained, fmt.Sprintf("the log names %s; which policy of it cannot be said, because no policies are loaded", c.stage)
			return a
		}
		a.Detail = c.who + " refused it, which no sender policy decides"
	}
	return a
}

// endedSince finds a blocking policy whose sides match and that is disabled or
// out of its dates.
func endedSince(set *Set, m *mail.Message, at time.Time, stage Stage) *Policy {
	for _, p := range set.Policies() {
		if stageOf(p.Section) != stage || p.active(at) || (p.Option != OptionBlockSender && p.Option != OptionApply) {
			continue
		}
		f := factsOf(m, at)
		for _, moment := range []Moment{MomentRcpt, MomentData} {
			if sides, known, _ := set.sides(&p, &f, moment); sides && known {
				return &p
			}
		}
	}
	return nil
}

func entryFits(c claim, v Verdict) bool {
	if c.entry == "" {
		return true
	}
	isAddress := strings.Contains(managedOf(v.Policy).Sender, "@")
	return isAddress == (c.entry == "address")
}

// claimsOf looks the log's words up; the reported type before the free text.
func claimsOf(m *mail.Message) []claim {
	for _, text := range []string{m.Reported.Detail + " " + m.Reply.Text, m.Reported.Type + " " + m.Reported.Rule} {
		folded := strings.ToLower(strings.NewReplacer("–", "-", "—", "-", "‐", "-").Replace(text))
		for _, row := range reportTable {
			if strings.Contains(folded, row.text) {
				return row.claims
			}
		}
	}
	return nil
}

// logged gives the log's words in one line.
func logged(m *mail.Message) string {
	var parts []string
	if m.Reply.Code != 0 {
		parts = append(parts, fmt.Sprint(m.Reply.Code))
	}
	if m.Reply.Enhanced != "" {
		parts = append(parts, m.Reply.Enhanced)
	}
	for _, text := range []string{m.Reply.Text, m.Reported.Type} {
		if text != "" {
			parts = append(parts, text)
			break
		}
	}
	if len(parts) == 0 {
		return string(m.Outcome)
	}
	return strings.Join(parts, " ")
}
