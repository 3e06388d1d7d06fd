package logparse

import (
	"bytes"
	"strings"

	"mailwhy/engine/mail"
)

// outcome is what an event says of its message; "" when it says nothing that
// is understood. The code decides, not the word: greylisting is logged as
// Act=Rej with 451 and is a deferral.
func (e *mimeEvent) outcome(stage mimeStage) mail.Outcome {
	switch stage {
	case mimeReceipt:
		return e.receiptOutcome()
	case mimeDelivery:
		return e.deliveryOutcome()
	case mimeOther: // scans and clicks: only what they kept or refused counts
		if out := actOutcome(e.value[mimeAct]); out == mail.Held || out == mail.Rejected {
			return out
		}
		return ""
	case mimeProcess, mimeImpersonation:
		out := actOutcome(e.value[mimeAct])
		if out == "" && e.has(mimeHold) && !e.has(mimeAct) {
			return mail.Held
		}
		if out == "" && stage == mimeImpersonation {
			return mail.Accepted // tagged, or nothing found
		}
		return out
	}
	return ""
}

// actOutcome reads the action word of v1 (Acc, Rej, Hld, Sdbx, Bnc) and v2,
// where some are written out. Sandboxed mail is on its way.
func actOutcome(act []byte) mail.Outcome {
	word, n := lower(act)
	switch string(word[:n]) {
	case "acc", "accept", "accepted", "allow", "allowed", "sdbx", "sandbox", "none", "tag":
		return mail.Accepted
	case "rej", "reject", "rejected":
		return mail.Rejected
	case "hld", "hold", "held":
		return mail.Held
	case "bnc", "bounce", "bounced":
		return mail.Bounced
	case "del", "delete", "deleted", "drop", "discard":
		return mail.Discarded
	}
	return ""
}

func (e *mimeEvent) receiptOutcome() mail.Outcome {
	act := e.value[mimeAct]
	if out := actOutcome(act); out != mail.Rejected && (out != "" || len(act) > 0 && e.text(mimeRejType) == "") {
		return out
	}
	reply := e.reply()
	switch {
	case reply.Temporary():
		return mail.Deferred
	case reply.Permanent():
		return mail.Rejected
	case bytes.Contains(e.value[mimeError], []byte("Greylisted")), bytes.Contains(e.value[mimeRejInfo], []byte("Greylisted")):
		return mail.Deferred
	case actOutcome(act) == mail.Rejected, e.text(mimeRejType) != "":
		return mail.Rejected
	}
	return ""
}

func (e *mimeEvent) deliveryOutcome() mail.Outcome {
	delivered := e.value[mimeDelivered]
	if !e.has(mimeDelivered) {
		delivered = e.value[mimeAct] // v2: the subtype
	}
	word, n := lower(delivered)
	switch string(word[:n]) {
	case "true", "yes", "1":
		return mail.Delivered
	case "false", "no", "0":
	default:
		if !e.has(mimeRejCode) {
			return ""
		}
	}
	reply := e.reply()
	words := strings.ToLower(string(e.value[mimeError]) + " " + string(e.value[mimeRejType]))
	switch {
	case reply.Permanent():
		return mail.Bounced
	case strings.Contains(words, "expired"), strings.Contains(words, "retry limit"), strings.Contains(words, "max retries"):
		return mail.Expired
	case reply.Temporary():
		return mail.Deferred
	case strings.Contains(words, "hard bounce"), strings.Contains(words, "permanent"):
		return mail.Bounced
	}
	return mail.Deferred // no reply: the next attempt is to come
}

// reply is the reply that refused: RejCode, where 0 means none, and the words
// of RejInfo, from which a code and a status at their start are split off.
func (e *mimeEvent) reply() mail.Reply {
	info := e.text(mimeRejInfo)
	reply := readReply(info)
	code, _, ok := replyCode(text(bytes.TrimSpace(e.value[mimeRejCode])))
	switch {
	case !ok || code == reply.Code:
	case reply.Code == 0:
		reply.Code = code
	default: // two codes: the log's own field counts, its words stay as they are
		reply = mail.Reply{Code: code, Text: info}
	}
	return reply
}

// phase is where in the SMTP dialogue a receipt failed. Mimecast does not log
// it: a Message-ID or a subject means that the header was read.
func (e *mimeEvent) phase(stage mimeStage, reply mail.Reply) mail.Phase {
	switch stage {
	case mimeDelivery:
		return mail.PhaseDelivery
	case mimeProcess, mimeImpersonation, mimeOther:
		return mail.PhaseQueue
	}
	words := strings.ToLower(text(e.value[mimeRejType]) + " " + reply.Text)
	header := len(e.value[mimeMessageID]) > 0 || len(e.value[mimeSubject]) > 0
	switch {
	case reply.Code == 421:
		return mail.PhaseConnect
	case strings.Contains(words, "header"), header && strings.Contains(words, "timeout"):
		return mail.PhaseData
	case header, strings.Contains(words, "virus"), strings.Contains(words, "security policies"), strings.Contains(words, "content examination"),
		strings.Contains(words, "qrcode"), strings.Contains(words, "loop detected"), strings.Contains(words, "size exceeded"):
		return mail.PhaseEndOfData
	case len(e.value[mimeRcpt]) > 0:
		return mail.PhaseRcpt
	case len(e.value[mimeSender]) > 0:
		return mail.PhaseMail
	}
	return mail.PhaseConnect // no path was given yet
}

// reported is the log's own word for the cause.
func (e *mimeEvent) reported(stage mimeStage) mail.Reported {
	r := mail.Reported{Type: e.text(mimeRejType), Detail: e.text(mimeRejInfo)}
	if err := e.text(mimeError); r.Detail == "" {
		r.Detail = err
	} else {
		r.Rule = err
	}
	switch {
	case r.Type == "" && len(e.value[mimeHold]) > 0:
		r.Type = e.text(mimeHold)
	case stage == mimeImpersonation:
		r.Type, r.Rule = "impersonation protect", e.text(mimePolicy)
	case stage == mimeOther && r.Type == "":
		r.Type = e.text(mimeType)
	case r.Rule == "" && strings.Contains(r.Type, "RBL"):
		if list, _, _ := strings.Cut(r.Detail, " "); strings.Contains(list, ".") {
			r.Rule = list
		}
	}
	return r
}

// lower is a short word in lower case. What is longer than any word that we
// know is cut, and so stays unknown.
func lower(word []byte) (b [16]byte, n int) {
	n = copy(b[:], word)
	for i := range n {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] |= 0x20
		}
	}
	return b, n
}

// text is a value as a string, without the spaces around it. An empty list
// stands where v2 has nothing to say.
func (e *mimeEvent) text(field mimeField) string {
	s := text(bytes.TrimSpace(e.value[field]))
	if s == "[]" {
		return ""
	}
	return s
}
