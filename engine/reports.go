package engine

import (
	"strings"

	"mailwhy/engine/mail"
)

// claim is what a text of the log says about the stage that refused. Several
// claims of one text mean that it is ambiguous.
type claim struct {
	stage  Stage
	moment Moment // "" = any
	entry  string // "address" or "domain" where the text says which, of managed senders
	who    string // what refused it, where that is none of the sender policies that can be replayed; else ""
}

func policyClaim(stage Stage, moment Moment) claim { return claim{stage: stage, moment: moment} }

func otherClaim(stage Stage, moment Moment, who string) claim {
	return claim{stage: stage, moment: moment, who: who}
}

// Claims that several texts make.
var (
	blockedAtRcpt   = policyClaim(StageBlockedSenders, MomentRcpt)
	blockedAtData   = policyClaim(StageBlockedSenders, MomentData)
	managedAtRcpt   = policyClaim(StageManagedSenders, MomentRcpt)
	managedAtData   = policyClaim(StageManagedSenders, MomentData)
	spfHardFail     = otherClaim(StageDNSAuthentication, MomentRcpt, "an SPF hard fail")
	blockList       = otherClaim(StageReputation, MomentRcpt, "a reputation list (RBL)")
	ipReputation    = otherClaim(StageReputation, MomentRcpt, "IP reputation")
	noSuchRecipient = otherClaim(StageRecipient, MomentRcpt, "recipient validation")
	greylist        = otherClaim(StageGreylisting, MomentRcpt, "greylisting")
	tlsRule         = otherClaim(StageConnection, MomentConnect, "the TLS rule")
	smtpAuth        = otherClaim(StageConnection, MomentConnect, "SMTP authentication")
	connectionLimit = otherClaim(StageConnection, MomentConnect, "the connection limit")
	accountSettings = otherClaim(StageConnection, MomentConnect, "the account's settings")
	loopCheck       = otherClaim(StageContent, MomentData, "the loop check")
	sizeLimit       = otherClaim(StageContent, MomentData, "the size limit")
)

// reportTable maps the vendor's types and texts to claims, most telling first.
// Source: the vendor's SMTP error table and rejection types (domain 4 and 5).
// Dashes and case are folded before the comparison.
var reportTable = []struct {
	text   string
	claims []claim
}{
	{"manual envelope rejection", []claim{managedAtRcpt}},
	{"manual header rejection", []claim{managedAtData}},
	{"envelope blocked - user domain entry", []claim{{stage: StageManagedSenders, moment: MomentRcpt, entry: "domain"}}},
	{"envelope blocked - user entry", []claim{{stage: StageManagedSenders, moment: MomentRcpt, entry: "address"}}},
	{"rejected by header based manually blocked senders", []claim{managedAtData}},
	{"rejected by header based blocked senders", []claim{blockedAtData}},
	{"rejected by header based anti-spoofing", []claim{policyClaim(StageAntiSpoofing, MomentData)}},
	{"anti-spoofing header lockout", []claim{policyClaim(StageAntiSpoofing, MomentData)}},
	{"anti-spoofing lockout", []claim{policyClaim(StageAntiSpoofing, MomentRcpt)}},
	{"anti-spoofing policy - inbound not allowed", []claim{policyClaim(StageAntiSpoofing, MomentRcpt)}},
	{"anti-spoofing", []claim{policyClaim(StageAntiSpoofing, "")}},
	{"header rejected", []claim{blockedAtData}},
	{"sender address blocked", []claim{blockedAtRcpt, otherClaim(StageConnection, MomentConnect, "a Blocked Senders policy on the client's address, which refuses at connect,")}},
	{"spf sender invalid", []claim{otherClaim(StageDNSAuthentication, MomentRcpt, "SPF")}},
	{"dkim sender invalid", []claim{otherClaim(StageDNSAuthentication, MomentData, "DKIM")}},
	{"dmarc sender invalid", []claim{otherClaim(StageDNSAuthentication, MomentData, "DMARC")}},
	{"administrative prohibition", []claim{blockedAtRcpt, spfHardFail}},
	{"envelope rejected - block policy", []claim{blockedAtRcpt}},
	{"envelope rejected", []claim{blockedAtRcpt, spfHardFail}},
	{"envelope blocked", []claim{blockedAtRcpt, spfHardFail}},
	{"policy level block list in force", []claim{policyClaim(StageBlockedSenders, "")}},
	{"open relay not allowed", []claim{blockedAtRcpt}},
	{"ip found in rbl", []claim{blockList}},
	{"ip reputation", []claim{ipReputation}},
	{"poor reputation", []claim{ipReputation}},
	{"blocked using", []claim{blockList}},
	{"invalid recipient", []claim{noSuchRecipient}},
	{"user unknown (bad sequence)", []claim{otherClaim(StageConnection, MomentConnect, "the order of the SMTP commands")}},
	{"user unknown", []claim{noSuchRecipient}},
	{"recipient temporarily unavailable", []claim{noSuchRecipient}},
	{"no such user", []claim{noSuchRecipient}},
	{"invalid address", []claim{otherClaim(StageRecipient, MomentRcpt, "the check of the address's form")}},
	{"relay access denied", []claim{otherClaim(StageRecipient, MomentRcpt, "the server's relay rule")}},
	{"greylist", []claim{greylist}},
	{"internal resource", []claim{greylist, ipReputation}},
	{"sender failed to retry", []claim{greylist}},
	{"virus", []claim{otherClaim(StageVirus, MomentData, "the virus scanner")}},
	{"malicious", []claim{otherClaim(StageVirus, MomentData, "the scan of links and codes")}},
	{"due to security policies", []claim{otherClaim(StageVirus, MomentData, "the virus scanner"), otherClaim(StageSpam, MomentData, "the spam score")}},
	{"content examination", []claim{otherClaim(StageContent, MomentData, "Content Examination")}},
	{"message loop", []claim{loopCheck}},
	{"mail loop", []claim{loopCheck}},
	{"maximum email size", []claim{sizeLimit}},
	{"message size exceeds", []claim{sizeLimit}},
	{"host network not allowed", []claim{otherClaim(StageConnection, MomentConnect, "the geographical restriction")}},
	{"hostname is not authorized", []claim{otherClaim(StageConnection, MomentConnect, "the check of host names")}},
	{"configuration is invalid for this certificate", []claim{tlsRule}},
	{"requires encryption", []claim{tlsRule}},
	{"requires tls", []claim{tlsRule}},
	{"requires high-strength", []claim{tlsRule}},
	{"incorrect authentication data", []claim{smtpAuth}},
	{"submitter failed", []claim{smtpAuth}},
	{"too many recipients", []claim{otherClaim(StageRecipient, MomentRcpt, "the limit of recipients")}},
	{"temporarily blacklisted", []claim{connectionLimit}},
	{"account service is temporarily unavailable", []claim{connectionLimit}},
	{"exceeding outbound thread limit", []claim{connectionLimit}},
	{"unable to process", []claim{otherClaim(StageConnection, MomentConnect, "the gateway's own capacity")}},
	{"inbounds disabled", []claim{accountSettings}},
	{"outbounds disabled", []claim{accountSettings}},
	{"journal message past expiration", []claim{otherClaim(StageContent, MomentData, "the age limit of journalled mail")}},
	{"message ended early", []claim{otherClaim(StageConnection, MomentConnect, "the connection, which broke off,")}},
	{"sender address rejected", []claim{policyClaim(StageBlockedSenders, MomentRcpt), otherClaim(StageBlockedSenders, MomentRcpt, "a check of the sender's address")}},
	{"recipient address rejected", []claim{policyClaim(StageRecipient, MomentRcpt), otherClaim(StageRecipient, MomentRcpt, "recipient validation")}},
	{"client host rejected", []claim{policyClaim(StageConnection, MomentRcpt), otherClaim(StageConnection, MomentConnect, "a check of the client")}},
	{"helo command rejected", []claim{otherClaim(StageConnection, MomentConnect, "a check of the HELO name")}},
	{"remote server timeout", []claim{otherClaim(StageConnection, MomentConnect, "the connection, which broke off,")}},
}

// claimsOf looks the log's words up: its texts, which tell more, before the
// type it reports.
func claimsOf(m *mail.Message) []claim {
	for _, text := range [...]string{m.Reported.Detail + " " + m.Reply.Text, m.Reported.Type + " " + m.Reported.Rule} {
		if len(text) < 2 {
			continue
		}
		folded := strings.ToLower(strings.NewReplacer("–", "-", "—", "-", "‐", "-", "‑", "-").Replace(text))
		for _, row := range reportTable {
			if strings.Contains(folded, row.text) {
				return row.claims
			}
		}
	}
	return nil
}
